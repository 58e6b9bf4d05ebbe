"""`stepsift rank --fast`: estimates are named as such, compared with exact scores, and kept apart from them."""

import json
from pathlib import Path

import polars as pl
import pytest

from stepsift.commands.agreement import agreement_lines, times_as_fast
from stepsift.core import console
from stepsift.score import setup
from stepsift.scratch import ScoredSteps

WRITTEN = {
    "anna": "Let x be the number. Then 3x = 12, so {}.\n\nThe answer is 4.",
    "bob": "First, {}. We get 42. Wait, that is not right! Let me check: 7 * 6 = 42. Yes!",
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student_folder) -> Path:
    """A pool of two teachers and 22 prompts, and a cache of its own."""
    monkeypatch.setenv("STEPSIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(console.logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/sources").mkdir(parents=True)
    rows = [
        {"prompt": f"What is {i} + {i}?", "completion": text.format(f"{i} + {i}"), "teacher": teacher}
        for i in range(22)
        for teacher, text in WRITTEN.items()
    ]
    (tmp_path / "data/sources/pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "params.yaml").write_text(f"student: {{path: {student_folder('llama')}}}\nscore: {{window: 1}}\n")
    return tmp_path


def ranks(out: list[str]) -> list[str]:
    """The lines of teachers: rank, name and mean."""
    return [" ".join(line.split()[:3]) for line in out if line.split()[0] in ("1", "2")]


@pytest.mark.slow
def test_estimates_are_named_compared_and_never_kept(run_cli):
    exact = run_cli("rank", "--prompts", 22)[1]
    code, fast, err = run_cli("rank", "--prompts", 22, "--fast")
    assert code == 0, err
    assert fast[3] == ("ESTIMATES   by one masked pass over each trace; they are kept in no table and no cache"), (
        "all exact scores came from the cache, so no speed was measured"
    )
    assert "lalp: on 40 traces with both, 0." in fast[4]
    assert "of 20 pairs of one prompt in the same order, the same best trace for " in fast[4]
    assert len(ranks(fast)) == 2 and ranks(fast) != ranks(exact)
    assert ranks(run_cli("rank", "--prompts", 22)[1]) == ranks(exact)


@pytest.mark.slow
def test_where_a_window_shows_everything_estimates_are_the_scores(place: Path, run_cli):
    written = (place / "params.yaml").read_text()
    (place / "params.yaml").write_text(written.replace("window: 1", "window: 50"))
    _, fast, _ = run_cli("rank", "--prompts", 22, "--fast")
    assert "times as fast as exact scoring here" in fast[3]
    assert "lalp: on 40 traces with both, 0.000 off in the mean, Spearman 1.000, 100% of 20 pairs" in fast[4]
    assert ranks(fast) == ranks(run_cli("rank", "--prompts", 22)[1])


def test_only_what_is_scored_in_windows_is_estimated(run_cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(setup, "load", lambda *_: pytest.fail("the student was loaded"))
    code, out, err = run_cli("rank", "--fast", "--metrics", "lalp,galp,rsr")
    assert (code, out) == (1, [])
    assert err == ["error: --fast estimates what is scored in windows alone: leave out --fast, or galp, rsr"]


def scores(metric: str, values: dict[str, float | None]) -> pl.DataFrame:
    """Table trace_scores with one metric, for traces that are named after their prompts."""
    return pl.DataFrame({"trace_id": list(values), "prompt_id": [name[0] for name in values], metric: values.values()})


def test_agreement_by_hand():
    exact = {"a1": -1.0, "a2": -2.0, "b1": -3.0, "b2": -4.0, "c1": None}
    estimates = {"a1": -1.1, "a2": -2.0, "b1": -4.0, "b2": -3.5, "c1": -1.0, "d1": -1.0}
    # Ranks 4, 3, 2, 1 against 4, 3, 1, 2: 1 - 6 * 2 / (4 * 15). Off by .1, 0, 1 and .5.
    assert agreement_lines(scores("lalp", estimates), scores("lalp", exact), ["lalp"], 2.34) == [
        "ESTIMATES   by one masked pass over each trace, 2.3 times as fast as exact scoring here; "
        "they are kept in no table and no cache",
        "            lalp: on 4 traces with both, 0.400 off in the mean, Spearman 0.800, 50% of 2 pairs of one prompt "
        "in the same order, the same best trace for 1 of 2 prompts",
    ]


def test_the_best_is_the_lowest_where_lower_is_better():
    exact = {"a1": 3.0, "a2": 2.0, "a3": 1.0}
    for metric, same in (("rsr_local", 1), ("lalp", 0)):
        estimates = scores(metric, {"a1": 2.0, "a2": 3.0, "a3": 1.0})
        text = agreement_lines(estimates, scores(metric, exact), [metric], None)[1]
        assert text.endswith(
            f"67% of 3 pairs of one prompt in the same order, the same best trace for {same} of 1 prompt"
        )


def test_agreement_that_cannot_be_known_is_said():
    one = scores("lalp", {"a1": -1.0})
    apart = scores("lalp", {"a1": -1.0, "b1": -2.0})
    assert agreement_lines(one, one, ["lalp"], None)[1].endswith(
        "lalp: fewer than two traces have both scores, so nothing is known of the agreement"
    )
    assert agreement_lines(apart, apart, ["lalp"], None)[1].endswith("no two traces of one prompt to compare")


def work(flops: float, seconds: float) -> ScoredSteps:
    """Scored traces of which only that is known."""
    none = pl.DataFrame()
    return ScoredSteps(none, none, none, None, flops, seconds, 0, 0, None, None)  # type: ignore[arg-type]


def test_speed_is_that_of_the_same_traces():
    # 100 operations took 5 s exactly, so 400 would have taken 20 s.
    assert times_as_fast(work(400.0, 8.0), work(100.0, 5.0)) == 2.5
    assert times_as_fast(work(400.0, 8.0), work(0.0, 1.0)) is None
