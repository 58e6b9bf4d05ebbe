"""The same words, however a teacher marks its reasoning, have one text, one id and one score to the last digit."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

import stepsift
from helpers.places import DEMO, SHARED

POOL = SHARED / "cases" / "pools" / "score_formats.jsonl"
THOUGHT = "There are {a} of them first, and {b} come later.\nSo {a} + {b} = {sum}."
ANSWER = "The answer is {sum}."
INLINE = {
    "think": "<think>\n{t}\n</think>\n\n{r}",
    "capital": "<Thought>{t}</Thought>{r}<|im_end|>",
    "brackets": "[THINK]{t}[/THINK]{r}</s>",
    "harmony": "<|channel|>analysis<|message|>{t}<|end|><|start|>assistant<|channel|>final<|message|>{r}<|return|>",
    "stripped": "analysis{t}assistantfinal{r}",
    "lone_close": "{t}\n</think>\n{r}",
    "seed": "<seed:think>{t}</seed:think>{r}<seed:eos>",
    "solution": "<|begin_of_thought|>\n{t}\n<|end_of_thought|>\n\n<|begin_of_solution|>\n{r}\n<|end_of_solution|>",
}


def rows() -> list[dict]:
    made: list[dict] = []
    for a, b in ((2, 5), (3, 1), (4, 4)):
        thought, answer = (text.format(a=a, b=b, sum=a + b) for text in (THOUGHT, ANSWER))
        asked = {"prompt": f"What is {a} + {b}?", "answer": str(a + b)}
        texts: dict[str, object] = {name: form.format(t=thought, r=answer) for name, form in INLINE.items()}
        texts["parts"] = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": answer}]
        made += [asked | {"teacher": teacher, "response": response} for teacher, response in texts.items()]
        made.append(asked | {"teacher": "beside", "response": answer, "reasoning_content": thought})
    return made


def scored(traces: pl.DataFrame) -> pl.DataFrame:
    """Traces with their scores; each teacher's are scored in a call of their own."""
    scorer = stepsift.Scorer(DEMO / "student")
    frames = []
    for (_, prompt), own in traces.group_by("teacher", "prompt", maintain_order=True):
        frames.append(pl.concat([own, scorer.score(prompt, own["response"].to_list())], how="horizontal"))
    return pl.concat(frames)


def check(traces: pl.DataFrame, teachers: int) -> None:
    assert traces["teacher"].n_unique() == teachers
    assert traces["verdict"].unique().to_list() == ["correct"]
    scores = scored(traces)
    measured = [name for name in scores.columns if name not in traces.columns]
    assert {"lalp", "galp", "n_tokens"} <= set(measured)
    assert scores["lalp"].null_count() == 0 and scores["lalp"].n_unique() > 1
    for _, same in scores.group_by("prompt_id"):
        assert same.height == teachers
        assert same.select("response", *measured).unique().height == 1


@pytest.mark.usefixtures("shared_judges")
@pytest.mark.slow
def test_ten_ways_to_mark_the_same_words_have_one_score(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in rows())
    (tmp_path / "pool.jsonl").write_text(lines, encoding="utf-8")
    check(stepsift.read(tmp_path), len(INLINE) + 2)


@pytest.mark.usefixtures("shared_judges")
@pytest.mark.slow
@pytest.mark.skipif(not POOL.is_file(), reason="no folder shared/cases beside the repository")
def test_the_shared_pool_of_formats_has_one_score(tmp_path):
    shutil.copy(POOL, tmp_path)
    check(stepsift.read(tmp_path), 4)


def test_the_forms_are_really_different():
    assert len({json.dumps(row["response"]) for row in rows()}) == len(rows())
    assert Path(DEMO / "student").is_dir()
