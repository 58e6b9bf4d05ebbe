"""System prompts: no answer stands under another teacher's, whatever `ingest.system` says."""

import json
from pathlib import Path

import polars as pl
import pytest

from helpers.places import SHARED
from stepsift import params
from stepsift.ingest.run import ingest, survey
from stepsift.ingest.system import placed

USER = {"role": "user", "content": "Add 3 and 4."}
A, B = ({"role": "system", "content": f"Use style {x}."} for x in "ab")


def row(teacher: str, response: str, *system: dict, **more) -> dict:
    return {"messages": [*system, USER, {"role": "assistant", "content": response}], "teacher": teacher, **more}


def read(folder: Path, rows: list[dict], **settings) -> tuple[dict[str, list[str]], pl.DataFrame]:
    """(roles of a prompt's turns with their texts, by the answers to it; table traces)"""
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    (sources / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    chosen = params.parse({"ingest": settings}).ingest
    ingest(sources, folder / "out", chosen)
    traces = pl.read_parquet(folder / "out/traces.parquet")
    prompts = dict(pl.read_parquet(folder / "out/prompts.parquet").select("prompt_id", "prompt").iter_rows())
    seen = {
        answer: [f"{turn['role']}: {turn['content']}" for turn in prompts[prompt_id]]
        for prompt_id, answer in traces.select("prompt_id", "response").iter_rows()
    }
    # What `check` samples is what the stage gives the student.
    sample = {t.response: [f"{m['role']}: {m['content']}" for m in t.prompt] for t in survey(sources, chosen).sample}
    assert sample == seen
    return seen, traces


SAID = "user: Add 3 and 4."


@pytest.mark.parametrize(
    ("setting", "prompts", "n_prompts"),
    [
        ("keep", {"a": [SAID], "b": [SAID], "none": [SAID]}, 1),
        ("drop", {"a": [SAID], "b": [SAID], "none": [SAID]}, 1),
        (
            "text",
            {"a": ["user: Use style a.\n\nAdd 3 and 4."], "b": ["user: Use style b.\n\nAdd 3 and 4."], "none": [SAID]},
            3,
        ),
    ],
)
@pytest.mark.parametrize("own_id", [{}, {"prompt_id": "p1"}])
def test_system_prompts_that_differ(tmp_path, setting, prompts, n_prompts, own_id):
    rows = [row("anna", "a", A, **own_id), row("ben", "b", B, **own_id), row("carl", "none", **own_id)]
    seen, traces = read(tmp_path, rows, system=setting)
    assert seen == prompts
    assert traces["prompt_id"].n_unique() == n_prompts


@pytest.mark.parametrize(("setting", "first"), [("keep", ["system: Use style a.", SAID]), ("drop", [SAID])])
def test_a_system_prompt_that_all_share_stays_unless_it_is_dropped(tmp_path, setting, first):
    shared = [row("anna", "a", A), row("ben", "b", {"role": "system", "content": " Use  style a.\n"})]
    seen, traces = read(tmp_path, shared, system=setting)
    assert [[turn.replace("  ", " ").strip() for turn in turns] for turns in seen.values()] == [first, first]
    # Its identity is that of the question alone, as it is without a system prompt.
    (tmp_path / "other").mkdir()
    _, without = read(tmp_path / "other", [row("anna", "a"), row("ben", "b")], system=setting)
    assert traces["trace_id"].sort().to_list() == without["trace_id"].sort().to_list()


def test_the_same_answer_of_one_teacher_under_two_system_prompts(tmp_path):
    seen, _ = read(tmp_path, [row("anna", "a", A), row("anna", "a", B)])
    assert seen == {"a": [SAID]}


def test_placed():
    assistant = {"role": "assistant", "content": "7"}
    turns = [A, B, USER, assistant, USER]
    assert placed(turns, "keep") == (turns, turns[2:], "Use style a.\n\nUse style b.")
    assert placed(turns, "drop") == (turns[2:], turns[2:], None)
    text = [{"role": "user", "content": "Use style a.\n\nUse style b.\n\nAdd 3 and 4."}, assistant, USER]
    assert placed(turns, "text") == (text, text, None)
    assert placed([USER], "text") == ([USER], [USER], None)


def test_check_says_how_many_prompts_were_asked_differently(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in [row("anna", "a", A), row("ben", "b")]))
    (said,) = [w for w in survey(tmp_path, params.Ingest()).warnings if "system" in w]
    assert said.startswith(
        "1 of 1 prompt were asked under different system prompts, or also without one: they get none"
    )
    assert not [w for w in survey(tmp_path, params.Ingest(system="drop")).warnings if "under different" in w]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared folder")
@pytest.mark.parametrize("name", ["mixed_system", "system_by_teacher"])
@pytest.mark.parametrize("setting", ["keep", "drop", "text"])
def test_shared_pools(tmp_path, name, setting):
    lines = (SHARED / f"cases/pools/{name}.jsonl").read_text().splitlines()
    rows = [{k: v for k, v in json.loads(line).items() if k != "answer"} for line in lines]
    seen, traces = read(tmp_path, rows, system=setting)
    assert traces.height == len(rows)
    for source in rows:
        turns = seen[source["messages"][-1]["content"]]
        own = [m["content"] for m in source["messages"][:-1] if m["role"] == "system"]
        others = {m["content"] for r in rows for m in r["messages"] if m["role"] == "system"} - set(own)
        assert not any(other in turn for other in others for turn in turns)
