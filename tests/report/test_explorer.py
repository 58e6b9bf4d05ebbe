"""The explorer's content: steps cut at code points, winners first, and never too much of anything."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from helpers.report_outputs import HOSTILE, World, write
from stepsift import report
from stepsift.core import table_files, tables
from stepsift.report import explorer


def explored(tmp_path: Path, world: World, prompts: int = 60) -> dict[str, Any]:
    outputs = report.read(write(tmp_path, world), prompts)
    return explorer.explore(outputs.chosen, outputs.pool)


def test_steps_are_cut_at_code_points_and_joined_they_are_the_response(tmp_path: Path):
    pieces = ["Let \U0001f600 = 1。", "漢字\n", "\\frac{1}{2} <b>&amp;</b> ", "```py\nx = 1\n```"]
    found = explored(tmp_path, World(text=lambda p, t: pieces))
    steps = found["prompts"][0]["traces"][0]["steps"]
    assert [s[0] for s in steps] == pieces


def test_a_step_has_its_tokens_and_both_means(tmp_path: Path):
    found = explored(tmp_path, World())
    traces = {t["id"]: t for p in found["prompts"] for t in p["traces"]}
    # Prompt 0, teacher 1: 4 tokens at -1.5 in the window, one nat more in sum over the whole context.
    assert traces["t000000-01"]["steps"][0] == ["Step 0 1.\n", "text", 4, -1.5, -1.25]


def test_the_winner_is_first_and_says_why_it_won(tmp_path: Path):
    prompt = next(p for p in explored(tmp_path, World())["prompts"] if p["id"] == "p000000")
    first = prompt["traces"][0]
    assert first["chosen"][0] == {
        "selector": "lalp",
        "reason": "best lalp of 3 candidates",
        "score": -0.5,
        "runner_up": "t000000-01",
        "runner_up_teacher": "bob",
        "runner_up_score": -1.5,
        "margin": 1.0,
        "stability": 0.75,
    }
    assert prompt["margins"]["lalp"] == 1.0
    assert prompt["margins"]["draw"] is None
    # Then what galp and the lot chose, then what nobody did.
    assert [t["teacher"] for t in prompt["traces"]] == ["ann", HOSTILE, "bob"]
    assert [[c["selector"] for c in t["chosen"]] for t in prompt["traces"]] == [["lalp"], ["galp", "draw"], []]


def test_much_text_is_cut_and_the_cut_is_counted(tmp_path: Path):
    found = explored(tmp_path, World(text=lambda p, t: ["short. ", "x" * 2_000_000], prompt="y" * 9_000))
    prompt = found["prompts"][0]
    assert prompt["messages"][0]["cut"] == 1_000
    trace = prompt["traces"][0]
    assert sum(len(s[0]) for s in trace["steps"]) == explorer.MOST_RESPONSE_CHARS
    assert trace["cut"] == 2_000_007 - explorer.MOST_RESPONSE_CHARS


def test_many_candidates_are_counted_and_those_shown_hold_the_winners(tmp_path: Path):
    found = explored(tmp_path, World(teachers=tuple(f"teacher {i}" for i in range(20))))
    for prompt in found["prompts"]:
        assert prompt["more"] == 20 - explorer.MOST_CANDIDATES
        assert {c["selector"] for t in prompt["traces"] for c in t["chosen"]} == {"lalp", "galp", "draw"}
        ids = {t["id"] for t in prompt["traces"]}
        assert {c["runner_up"] for t in prompt["traces"] for c in t["chosen"]} - {None} <= ids


def test_prompts_beyond_the_budget_are_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = explored(tmp_path / "whole", World())
    assert (len(whole["prompts"]), whole["left_out"]) == (4, 0)
    monkeypatch.setattr(explorer, "MOST_BYTES", 3_000)
    cut = explored(tmp_path / "cut", World())
    assert 0 < len(cut["prompts"]) < 4
    assert cut["left_out"] == 4 - len(cut["prompts"])
    assert cut["prompts"] == whole["prompts"][: len(cut["prompts"])]


def test_hidden_characters_in_any_text_are_spelt_out(tmp_path: Path):
    found = explored(tmp_path, World(text=lambda p, t: ["a\u202eb"], prompt="c\u2066d", teachers=("x\u200b", "y")))
    prompt = found["prompts"][0]
    assert prompt["messages"][0]["text"] == "c⟨U+2066⟩d"
    assert prompt["traces"][0]["steps"][0][0] == "a⟨U+202E⟩b"
    assert {t["teacher"] for t in prompt["traces"]} == {"x⟨U+200B⟩", "y"}


def test_a_trace_that_one_selector_left_is_a_candidate_still(tmp_path: Path):
    places = write(tmp_path, World())
    common = {"source": "a.jsonl", "source_line": 1, "teacher": "ann", "detail": "selector lalp: x"}
    reasons = {"t000000-00": "low_margin", "t000000-01": "not_correct"}
    rows = [common | {"trace_id": t, "reason": r} for t, r in reasons.items()]
    rejected = pl.DataFrame(rows, schema=tables.REJECTED.schema)
    table_files.write(tables.REJECTED, rejected, places.select / "rejected.parquet")
    outputs = report.read(places, 60)
    assert outputs.dropped["trace_id"].to_list() == ["t000000-01"]
    shown = {
        t["id"]: t["dropped"] for p in explorer.explore(outputs.chosen, outputs.pool)["prompts"] for t in p["traces"]
    }
    assert {name for name, reason in shown.items() if reason} == {"t000000-01"}
    # Both are counted among the rows that were dropped.
    assert ("select", "low_margin", 1) in outputs.rejected.rows()
