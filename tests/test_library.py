"""The public interface: what it scores, ranks and selects, and the example that uses all of it."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import stepsift
from helpers import reference
from stepsift import params
from stepsift.core.errors import ParamsError, SelectionError, StudentError
from stepsift.student import find

ROOT = Path(__file__).resolve().parents[1]
PROMPTS = ("What is 1 and 1?", "What is 2 and 2?")
ANSWERS = {"anna": "We add them. It is 4.", "bob": "I think that it is 5."}


def test_nothing_heavy_is_loaded_and_nothing_else_is_public():
    code = (
        "import sys, stepsift; print([m for m in ('polars', 'torch', 'pydantic') if m in sys.modules]); "
        "print(callable(stepsift.select), stepsift.__all__); import stepsift.select; print(callable(stepsift.select)); "
        "from stepsift.select import ranking; from stepsift import select; print(select.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[]", "True ['Scorer', 'rank', 'read', 'select']", "True", "stepsift.select",
    ]  # fmt: skip
    with pytest.raises(AttributeError, match="has no attribute 'scorer'"):
        _ = stepsift.scorer  # type: ignore[attr-defined]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    rows = [
        {"prompt": p, "completion": f"{text} {i}", "teacher": teacher, "answer": "4"}
        for i, p in enumerate(PROMPTS)
        for teacher, text in ANSWERS.items()
    ]
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    return tmp_path / "sources"


def test_read_gives_a_row_per_trace_without_duplicates(sources: Path):
    traces = stepsift.read(sources)
    assert traces.height == 4
    assert set(traces["teacher"]) == set(ANSWERS)
    assert traces["prompt"][0].to_list()[0]["role"] == "user"
    assert traces.columns[:4] == ["prompt_id", "prompt", "domain", "answer"]


def test_scores_are_those_of_the_reference(load_student: Callable[..., Any], student_folder: Callable[..., Path]):
    """LALP by hand: the mean over steps of the mean log-probability of a step's tokens in its window."""
    student, path = load_student("llama"), student_folder("llama")
    response = "It is 4. So it is."
    scores = stepsift.Scorer(path, window=1).score("What is 2 and 2?", [response, ""])
    assert scores["refused"].to_list()[0] is None
    assert scores["refused"].to_list()[1].startswith("no_tokens: ")
    assert scores["n_steps"].to_list() == [2, None]
    renderer = find(params.Student(path=str(path))).load_renderer()
    rendered = renderer.render([{"role": "user", "content": "What is 2 and 2?"}], response)
    spans = [(0, 8), (8, len(response))]
    ids = rendered.prompt_ids, rendered.response_ids
    tokens = reference.local(student.exact, *ids, rendered.last_char, spans, 1)
    owners = reference.steps_of_tokens(rendered.last_char, spans)
    of_step = [[t.logprob for t, o in zip(tokens, owners, strict=True) if o == step] for step in (0, 1)]
    assert scores["lalp"][0] == pytest.approx(sum(sum(s) / len(s) for s in of_step) / 2, abs=1e-4)
    assert scores["sum_logprob_local"][0] == pytest.approx(sum(map(sum, of_step)), abs=1e-3)


def made_up(**columns: list[Any]) -> pl.DataFrame:
    """Scores of two teachers on two prompts; b is better on both."""
    return pl.DataFrame(
        {
            "prompt_id": ["p", "p", "q", "q"],
            "trace_id": ["1", "2", "3", "4"],
            "teacher": ["a", "b", "a", "b"],
            "n_steps": [1, 1, 1, 1],
            "lalp": [-2.0, -1.0, -3.0, -1.5],
        }
        | columns
    )


def test_rank_and_select_by_hand():
    ranking = stepsift.rank(made_up(), bootstrap=100)
    assert ranking.select("metric", "rank", "teacher", "mean", "n_prompts").rows() == [
        ("lalp", 1, "b", -1.25, 2), ("lalp", 2, "a", -2.5, 2),
    ]  # fmt: skip
    chosen = stepsift.select(made_up(), by="lalp")
    assert chosen.select("trace_id", "score", "margin").rows() == [("2", -1.0, 1.0), ("4", -1.5, 1.5)]
    # A correct trace is preferred; where only correct ones may be chosen, prompt q has none.
    verdicts = made_up(verdict=["correct", "wrong", "wrong", "wrong"])
    assert stepsift.select(verdicts)["trace_id"].to_list() == ["1", "4"]
    assert stepsift.select(verdicts, correct="require")["trace_id"].to_list() == ["1"]
    assert stepsift.select(verdicts, correct="ignore")["trace_id"].to_list() == ["2", "4"]
    assert stepsift.select(made_up(), per_prompt=2).height == 4
    # A draw is the same for the same seed, and no score decides it.
    draws = {tuple(stepsift.select(made_up(), by="random", seed=seed)["trace_id"]) for seed in range(20)}
    assert len(draws) == 4
    assert stepsift.select(made_up(), by="random", seed=3).equals(stepsift.select(made_up(), by="random", seed=3))


def test_what_was_refused_is_not_in_the_running():
    frame = made_up(n_steps=[1, None, 1, 1], lalp=[-2.0, None, -3.0, -1.5])
    assert stepsift.select(frame)["trace_id"].to_list() == ["1", "4"]
    with pytest.raises(SelectionError, match="none of the 4 traces has a score; column refused says why"):
        stepsift.rank(made_up(n_steps=[None] * 4))


@pytest.mark.parametrize(
    ("frame", "options", "error", "said"),
    [
        (made_up().drop("teacher"), {}, SelectionError, "the frame has no column teacher; take the rows of stepsift"),
        (made_up(trace_id=["1"] * 4), {}, SelectionError, "two rows of the frame have the same trace_id"),
        (made_up(), {"by": "galp"}, SelectionError, "no trace has a score by galp, which needs the full pass"),
        (made_up(), {"by": "lalpp"}, ParamsError, "'lalpp' is not a selector, did you mean 'lalp'"),
        (made_up(), {"by": "longest"}, SelectionError, "by longest; take all columns of Scorer.score"),
        (made_up(), {"by": "aslec_casl"}, SelectionError, "by aslec_casl: it is fitted to the candidates of each teac"),
        (made_up(), {"by": "reference_gain"}, SelectionError, "reference_gain compares the student with a second mod"),
        (
            made_up(),
            {"correct": "required"},
            ParamsError,
            "'select.correct' is 'required': must be 'require', 'prefer'",
        ),
        (made_up(), {"seed": -1}, ParamsError, "'select.seed' is -1: must be at least 0"),
        (made_up(prompt_id=["p", None, "q", "q"]), {}, SelectionError, "a row of the frame has no prompt_id"),
        (made_up().clear(), {}, SelectionError, "the frame has no rows"),
        (made_up(reason=["mine"] * 4), {}, SelectionError, "has a column reason already, which select adds; rename it"),
    ],
)
def test_what_is_wrong_is_one_sentence(frame: pl.DataFrame, options: dict[str, Any], error: type, said: str):
    with pytest.raises(error, match=said):
        stepsift.select(frame, **options)


@pytest.mark.parametrize(
    ("frame", "options", "error", "said"),
    [
        (made_up(), {"bootstrap": 0}, ParamsError, "'select.bootstrap' is 0: must be at least 100"),
        (made_up().drop("lalp"), {}, SelectionError, "no trace has a score by a metric that ranks teachers"),
        (made_up(rsr=[1.0] * 4), {}, SelectionError, "has rsr and no column full_logprob, of which a teacher's rsr is"),
        (made_up(teacher=[None] * 4), {}, SelectionError, "a row of the frame has no teacher"),
    ],
)
def test_what_cannot_be_ranked_is_one_sentence(frame: pl.DataFrame, options: dict[str, Any], error: type, said: str):
    with pytest.raises(error, match=said):
        stepsift.rank(frame, **options)


def test_a_score_that_is_no_finite_number_is_none():
    """What pandas makes of a null, and what a division by nothing gives."""
    nan, inf = float("nan"), float("inf")
    chosen = stepsift.select(
        made_up(n_steps=[1.0, 1.0, nan, 1.0], lalp=[nan, -1.0, -1.0, inf], hes=[1.0, 2.0, 3.0, nan])
    )
    assert chosen.select("trace_id", "score", "margin", "reason").rows() == [("2", -1.0, None, "only candidate")]
    ranking = stepsift.rank(made_up(lalp=[-3.0, -1.0, nan, -1.0]), bootstrap=100)
    assert ranking.select("teacher", "mean", "n_prompts").rows() == [("b", -1.0, 2), ("a", -3.0, 1)]


def test_other_columns_of_a_frame_decide_nothing():
    plain = stepsift.select(made_up())
    names = ("n", "n_correct", "next_score", "runner_up", "place", "keep", "detail", "licence")
    chosen = stepsift.select(made_up(**{name: [1, 2, 3, 4] for name in names}))
    assert chosen.select(plain.columns).equals(plain)
    assert plain["reason"].to_list() == ["best lalp of 2 candidates (0 correct)"] * 2
    assert chosen["n"].to_list() == [2, 4]


def test_ids_may_be_numbers_or_categories():
    numbers = made_up(prompt_id=[1, 1, 2, 2], trace_id=[1, 2, 3, 4]).cast({"teacher": pl.Categorical})
    assert stepsift.select(numbers)["trace_id"].to_list() == [2, 4]
    assert stepsift.rank(numbers, bootstrap=100)["teacher"].to_list() == ["b", "a"]


def test_what_is_fitted_sees_candidates_alone():
    """LARK's gain among the two correct traces: L 1 and 2, Brier .5 each, so g = 1/3 (1 - 1/3) and 2/3 (1/2 - 1/3)."""
    frame = pl.DataFrame(
        {
            "prompt_id": ["p"] * 3,
            "trace_id": ["1", "2", "3"],
            "teacher": ["a", "b", "c"],
            "verdict": ["correct", "correct", "wrong"],
            "n_steps": [1] * 3,
            "n_tokens": [2] * 3,
            "full_logprob": [-2.0, -4.0, -10.0],
            "full_brier": [1.0, 1.0, 0.5],
        }
    )
    chosen = stepsift.select(frame, by="lark_g")
    assert chosen["trace_id"].to_list() == ["1"]
    assert chosen["score"][0] == pytest.approx(2 / 9)
    assert chosen["margin"][0] == pytest.approx(1 / 9)
    assert stepsift.select(frame.reverse(), by="lark_g").equals(chosen)


def test_a_wrong_student_or_setting_is_one_sentence(tmp_path: Path):
    with pytest.raises(StudentError, match="where there is nothing; name a folder"):
        stepsift.Scorer(tmp_path / "none")
    with pytest.raises(ParamsError, match=r"'score\.window' is -1: must be above 0"):
        stepsift.Scorer(tmp_path, window=-1)


@pytest.fixture
def example() -> Any:
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples/pipeline.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_tells_of_teachers_that_cannot_be_compared(
    sources: Path, tmp_path: Path, student_folder, monkeypatch, capsys, example
):
    rows = [(PROMPTS[0], "anna"), (PROMPTS[0], "bob"), (PROMPTS[1], "carl")]
    lines = [json.dumps({"prompt": p, "completion": f"I am {t}.", "teacher": t}) + "\n" for p, t in rows]
    (sources / "a.jsonl").write_text("".join(lines))
    monkeypatch.setattr("sys.argv", ["pipeline.py", str(sources), str(student_folder("llama")), str(tmp_path / "out")])
    example.main()
    first, second, last, chosen = capsys.readouterr().out.splitlines()
    assert first[:2] + second[:2] == "1 2 "
    assert first.endswith("[no interval: too few prompts]")
    assert last == "-  carl: not comparable"
    assert chosen.startswith("2 of 3 traces chosen by lalp")


def test_the_example_goes_from_jsonl_to_a_curated_set(
    sources: Path, tmp_path: Path, student_folder, monkeypatch, capsys, example
):
    assert len((ROOT / "examples/pipeline.py").read_text().splitlines()) < 60
    out = tmp_path / "curated.jsonl"
    monkeypatch.setattr("sys.argv", ["pipeline.py", str(sources), str(student_folder("llama")), str(out)])
    example.main()
    said = capsys.readouterr().out.splitlines()
    assert [line[:2] for line in said[:2]] == ["1 ", "2 "]
    assert said[2].startswith("2 of 4 traces chosen by lalp")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(row["messages"][0]["content"] for row in rows) == sorted(PROMPTS)
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    # The answer is 4: anna's ends so once, bob's never; a prompt with a correct trace gets it.
    by_prompt = {row["messages"][0]["content"]: row for row in rows}
    assert len(by_prompt) == 2
