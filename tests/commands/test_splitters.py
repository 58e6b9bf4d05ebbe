"""`stepsift splitters`: counts and agreement by hand, the same traces under each splitter, and what is refused."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers.chat_server import chat_server, in_pairs
from stepsift import params
from stepsift.commands import splitters
from stepsift.commands.score import score_file
from stepsift.core import table_files, tables
from stepsift.core.errors import ParamsError, SourceError
from stepsift.metrics import all_metrics
from stepsift.score import setup

STEPS = [("a", 1, 4, 2), ("a", 2, 1, 1), ("b", 1, 5, 2)]


def test_counts_hand_worked():
    steps = pl.DataFrame(STEPS, schema=["trace_id", "step", "n_tokens", "n_first"], orient="row")
    assert splitters._counts("line", steps, 0.25) == {
        **{"unit": "line", "traces": 2, "steps": 3, "steps_per_trace": 1.5, "tokens_per_step": 10 / 3},
        **{"window_share": 0.25, "first_tokens": 5 / 10},
    }


def ranked(means: dict[str, float | None], scores: dict[str, float]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Table teachers with these means by lalp (None: not ranked), and candidates "prompt/trace" with these scores."""
    teachers = [{"teacher": t, "metric": "lalp", "mean": m, "rank": None if m is None else 1} for t, m in means.items()]
    candidates = [
        {"prompt_id": i[0], "trace_id": i, "content_hash": i, "lalp": score, "verdict": "correct"}
        for i, score in scores.items()
    ]
    return pl.DataFrame(candidates), pl.DataFrame(teachers)


def test_agreement_hand_worked():
    lalp = all_metrics()["lalp"]
    one = ranked({"x": -1.0, "y": -2.0, "z": -3.0, "w": None}, {"p/1": -1, "p/2": -2, "q/1": -1, "q/2": -2, "r/1": -9})
    other = ranked({"x": -2.0, "y": -1.0, "z": -3.0, "w": -4.0}, {"p/1": -2, "p/2": -1, "q/1": 0, "q/2": -2, "r/1": 0})
    # Of three pairs of teachers two agree: (2 - 1) / 3. Prompt r has one candidate, so nothing was chosen there.
    assert splitters._agreement(lalp, one, other) == {"tau": pytest.approx(1 / 3), "same_choices": 0.5}
    assert splitters._agreement(lalp, one, one) == {"tau": pytest.approx(1), "same_choices": 1.0}
    alone = ranked({"x": -1.0, "y": None}, {"r/1": -9})
    assert splitters._agreement(lalp, alone, alone) == {"tau": None, "same_choices": None}
    level = ranked({"x": -1.0, "y": -1.0}, {"p/1": -1, "p/2": -1})
    assert splitters._agreement(lalp, level, one) == {"tau": None, "same_choices": 1.0}


def test_lines():
    row = {"unit": "sentence", "traces": 1, "steps": 1200, "steps_per_trace": 12.0, "tokens_per_step": 7.25}
    row |= {"window_share": None, "first_tokens": 0.125, "metrics": {"lalp": {"tau": None, "same_choices": 0.5}}}
    header, only, over = splitters._lines([row], ["lalp"])
    titles = ["splitter", "steps", "steps/trace", "tokens/step", "window", "share", "first", "tokens"]
    assert header.split() == [*titles, "lalp:", "tau", "lalp:", "same"]
    assert only.split() == ["sentence", "1,200", "12.0", "7.2", "-", "12.5%", "-", "50.0%"]
    assert over.startswith("over        1 trace; Kendall's tau")


def test_units_are_checked_and_sentences_come_first():
    assert splitters._units("marker, line,marker", has_llm=False) == ["sentence", "marker", "line"]
    assert splitters._units(None, has_llm=False) == ["sentence", "line", "paragraph", "marker"]
    assert splitters._units(None, has_llm=True) == ["sentence", "line", "paragraph", "marker", "llm"]
    with pytest.raises(ParamsError, match="'word' is no unit of steps; known are sentence, line, paragraph, marker"):
        splitters._units("word", has_llm=False)
    with pytest.raises(ParamsError, match="llm needs a model; name it in"):
        splitters._units("line,llm", has_llm=False)


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    written = {
        "anna": "Let x be {0}.\n\nSo 3x = 12. Then 4.",
        "bob": "Add. It is {0}. Wait, no.\nLet me see. It is 42.",
    }
    rows = [
        {"prompt": f"What is {i}?", "completion": text.format(i), "teacher": t}
        for i in range(3)
        for t, text in written.items()
    ]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def model_url() -> Iterator[str]:
    with chat_server(in_pairs) as server:
        yield server.url


def test_every_splitter_is_what_score_says_with_that_unit(traces: Path, student_folder, tmp_path: Path, model_url: str):
    units = ["sentence", "paragraph", "marker", "llm"]
    model = {"url": model_url, "model": "m"}
    raw: dict[str, Any] = {"student": {"path": str(student_folder("llama"))}, "score": {"window": 1}}
    raw["ingest"] = {"files": [{"match": "**"}]}
    settings = params.parse(raw | {"segment": {"llm": model}})
    found = splitters.compare_splitters(traces, settings, units, ["lalp", "galp"], tmp_path / "cache")
    assert [row["unit"] for row in found] == units and {row["traces"] for row in found} == {6}
    # anna: 3 sentences, 2 paragraphs, 2 runs between blank lines and openers, 2 pairs; bob: 5, 1, 2 and 3.
    assert [row["steps"] for row in found] == [3 * (3 + 5), 3 * (2 + 1), 3 * (2 + 2), 3 * (2 + 3)]
    assert all(found[0]["metrics"][m] == {"tau": pytest.approx(1), "same_choices": 1.0} for m in ("lalp", "galp"))
    # The whole context does not depend on steps.
    assert all(row["metrics"]["galp"] == {"tau": pytest.approx(1), "same_choices": 1.0} for row in found)
    for row in found:
        by_unit = params.parse(raw | {"segment": {"unit": row["unit"], "llm": model}})
        score_file(traces, tmp_path / "out.parquet", by_unit, ["lalp"], tmp_path / "cache")
        table = table_files.read(tables.TRACE_SCORES, tmp_path / "out.parquet")
        assert table["n_steps"].sum() == row["steps"]
        assert row["tokens_per_step"] == table["n_tokens"].sum() / table["n_steps"].sum()
    assert not list((tmp_path / "temporary").glob("stepsift*"))


def test_a_file_that_is_not_there_is_refused_before_anything_is_loaded(tmp_path: Path):
    with pytest.raises(SourceError, match="there is no file"):
        splitters.compare_splitters(tmp_path / "x.jsonl", params.parse({}), ["sentence"], ["lalp"], tmp_path)
