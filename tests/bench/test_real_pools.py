"""The table of metrics by hand, and pools of traces from their files to the three tables, in two runs."""

import json
import sys

import polars as pl
import pytest

import metric_table
import real_pools
from helpers.metric_rows import steps_of
from metric_table import ScoredPool, metric_rows
from stepsift.commands import splitters
from stepsift.commands.splitters import UNITS
from stepsift.core import tables
from stepsift.core.errors import ScoringError
from stepsift.metrics import all_metrics

PROMPT_OF = {"p": ("p1", "p2", "p3"), "q": ("q1", "q2")}
TEACHERS = {"1": "anna", "2": "bob", "3": "cleo"}
SCORES = {
    # Trace: tokens, mean log-probability in windows, and in the whole context, of its only step.
    "p1": (10, -1.0, -3.0),
    "p2": (20, -2.0, -2.0),
    "p3": (30, -3.0, -1.0),
    "q1": (12, -1.5, -1.4),
    "q2": (22, -2.5, -2.6),
}


@pytest.fixture
def pool() -> ScoredPool:
    steps = [
        {"trace_id": t, "step": 1, "n_tokens": n, "local_logprob": n * local, "full_logprob": n * full}
        for t, (n, local, full) in SCORES.items()
    ]
    traces = [
        {"trace_id": t, "content_hash": t, "prompt_id": p, "teacher": TEACHERS[t[1]], "verdict": "unchecked"}
        | {"label": None, "licence": None, "source": "s", "source_line": 1}
        for p, ids in PROMPT_OF.items()
        for t in ids
    ]
    schema = {c: tables.TRACES.schema[c] for c in tables.TRACE_COLUMNS}
    prompts = pl.DataFrame({"prompt_id": ["p", "q"], "domain": [None, None]}, schema_overrides={"domain": pl.String})
    return ScoredPool("pool", prompts, pl.DataFrame(traces, schema=schema), steps_of(steps))


def test_metrics_by_hand(pool: ScoredPool):
    table = metric_rows(pool, 4)
    assert (table["prompts"], table["traces"], table["teachers"], table["window_share"]) == (2, 5, 3, None)
    rows = table["metrics"]
    assert set(rows) == set(all_metrics())
    assert rows["lalp"] == {"same_choices": 1, "tau": pytest.approx(1), "length": pytest.approx(-1)}
    # By galp p3 is best of p, and q1 of q; all of cleo's is above all of bob's, and anna's between them.
    assert rows["galp"]["same_choices"] == 0.5
    # Spearman of -3, -2, -1, -1.4, -2.6 with 10, 20, 30, 12, 22: 1 - 6 (0 + 0 + 0 + 4 + 4) / (5 * 24).
    assert rows["galp"]["length"] == pytest.approx(1 - 6 * (0 + 0 + 0 + 2**2 + 2**2) / 120)
    # Less is better, so it is turned round.
    assert (rows["shortest"]["length"], rows["shortest"]["same_choices"]) == (pytest.approx(-1), 1)
    assert (rows["longest"]["length"], rows["longest"]["same_choices"]) == (pytest.approx(1), 0)
    assert rows["length"] == {"same_choices": None, "tau": None, "length": pytest.approx(1)}
    assert rows["random"]["tau"] is None and rows["lark_g"]["tau"] is None
    # Least squares over five traces of three teachers are not determined.
    assert rows["aslec_casl"] == {"same_choices": None, "tau": None, "length": None}


def test_markdown_has_a_row_per_metric(pool: ScoredPool):
    lines = metric_table.markdown({"pool": metric_rows(pool, 4)}).splitlines()
    assert lines[0] == "- pool: 2 prompts, 3 teachers, 5 traces, window share -"
    assert lines[2:4] == ["| metric | pool |", "|---|---|"]
    rows = [line.split("`")[1] for line in lines[4:]]
    # Three traces are too few for a fit of four coefficients, and there is no second model.
    assert rows == [m for m in all_metrics() if m in rows] and {"lalp", "galp", "length"} < set(rows)
    assert not {"aslec_casl", "teacher_share", "reference_gain"} & set(rows)
    assert "| `lalp` | 100 % · +1.00 · -1.00 |" in lines and "| `length` | - · - · +1.00 |" in lines


def test_the_sample_leaves_out_long_traces_and_lonely_ones(tmp_path):
    rows = [{"prompt": f"Q {i}?", "teacher": t, "response": t * (i + 1)} for i in range(4) for t in ("ab", "cde")]
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = real_pools.params.parse({"ingest": {"files": [{"match": "**"}], "workers": 1}})
    whole = real_pools.read_sample(tmp_path / "one.jsonl", settings, 9, 8)
    # Of the third prompt one trace is too long, of the fourth one too: two prompts have both.
    assert (whole.name, whole.prompts.height, sorted(whole.traces["response"])) == (
        *("one", 2),
        ["ab", "abab", "cde", "cdecde"],
    )
    assert real_pools.read_sample(tmp_path / "one.jsonl", settings, 1, 8).order == whole.order[:1]


def test_scores_of_other_settings_are_refused(tmp_path):
    real_pools.Scores(tmp_path).guard({"dtype": "float32"})
    real_pools.Scores(tmp_path).guard({"dtype": "float32"})
    with pytest.raises(ScoringError, match="name another --out"):
        real_pools.Scores(tmp_path).guard({"dtype": "bfloat16"})


@pytest.mark.slow
def test_two_runs_score_what_one_does(tmp_path, student_folder, monkeypatch, capsys):
    from stepsift.score import setup

    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    monkeypatch.setattr(metric_table, "RESAMPLES", 20)
    monkeypatch.setattr(splitters, "_RESAMPLES", 20)
    pools = tmp_path / "pools"
    pools.mkdir()
    for name in ("one", "two"):
        rows = [
            {"prompt": f"{name} {i}?", "teacher": t, "response": f"Let x be {i}.\n\nSo {t} wins.\nWait, it is {i}."}
            for i in range(2)
            for t in ("anna", "bob")
        ]
        (pools / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["x", str(pools), str(student_folder("llama")), "--prompts", "2", "--out"]
    outs = [tmp_path / "whole", tmp_path / "broken off"]
    for out in outs:
        monkeypatch.setattr(sys, "argv", [*command, str(out)])
        assert real_pools.main() == 0
        if out is outs[1]:
            # As if a run had been stopped after the first prompts.
            for unit in UNITS[1:]:
                part = next((out / "two" / "parts").iterdir()) / unit
                (part / tables.STEP_SCORES.file).unlink()
                (part / tables.REJECTED.file).unlink()
                part.rmdir()
            monkeypatch.setattr(sys, "argv", [*command, str(out), "--minutes", "0"])
            assert real_pools.main() == 0
            assert "- two: 1 prompts" in capsys.readouterr().out
            monkeypatch.setattr(sys, "argv", [*command, str(out)])
            assert real_pools.main() == 0
    texts = [(out / "tables.md").read_text() for out in outs]
    assert texts[0] == texts[1] and "- two: 2 prompts, 2 teachers, 4 traces" in texts[0]
    values = json.loads((outs[0] / "tables.json").read_text())
    assert [row["unit"] for row in values["splitters"]["one"]] == list(UNITS)
    # A folder of a pool is what metric_table.py reads.
    monkeypatch.setattr(sys, "argv", ["x", str(outs[0] / "one"), "--json", str(tmp_path / "t.json")])
    assert metric_table.main() == 0
    assert json.loads((tmp_path / "t.json").read_text())["one"] == values["metrics"]["one"]
    # What is scored already is enough for the table of fewer splitters.
    monkeypatch.setattr(sys, "argv", [*command, str(outs[0]), "--units", "sentence", "--minutes", "0"])
    assert real_pools.main() == 0
    fewer = json.loads((outs[0] / "tables.json").read_text())
    assert fewer["metrics"] == values["metrics"] and len(fewer["splitters"]["one"]) == 1
    monkeypatch.setattr(sys, "argv", [*command, str(outs[0]), "--units", "line"])
    with pytest.raises(SystemExit):
        real_pools.main()
