"""Settings that are a little different, and scores under them."""

import polars as pl
import pytest

from stepsift import params, segment
from stepsift.core import table_files, tables
from stepsift.score import perturb, setup
from stepsift.score.perturb import variants
from stepsift.score.pool import PoolTables


@pytest.mark.parametrize(
    ("window", "windows"),
    [
        (4, {"window-3": 3, "window-5": 5}),
        (2, {"window-1": 1, "window-3": 3}),
        (1, {"window-2": 2}),
        (0.25, {"window-0.166667": 0.25 / 1.5, "window-0.375": 0.375}),
        (0.8, {"window-0.533333": 0.8 / 1.5}),
    ],
)
def test_windows_hand_worked(window, windows):
    found = variants(params.Score(window=window), params.Segment())
    assert {name: s.window for name, (s, _) in found.items() if name.startswith("window")} == windows
    assert {name: c for name, (_, c) in found.items() if name.startswith("window")} == dict.fromkeys(
        windows, params.Segment()
    )


@pytest.mark.parametrize(
    ("unit", "other"), [("sentence", "paragraph"), ("line", "sentence"), ("paragraph", "sentence")]
)
def test_another_unit_of_steps(unit, other):
    score, segments = variants(params.Score(), params.Segment(unit=unit))[f"unit-{other}"]
    assert (score, segments.unit) == (params.Score(), other)


def test_tables_of_a_sample_of_prompts(student_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "ceiling", lambda *_: 1e9)  # takes a measurement otherwise
    settings = params.parse(
        {
            "student": {"path": str(student_folder("llama"))},
            "select": {"stability": "full", "stability_prompts": 1},
        }
    )
    prompts = [
        {"prompt_id": p, "prompt": [{"role": "user", "content": f"{p}?"}], "answer_kind": "none"} for p in ("p", "q")
    ]
    text = "Let x be it. Then 3x = 12.\n\nSo x = 4! Wait. Let me check. It is 4. Yes."
    traces = [
        {"trace_id": f"{t}-{p}", "content_hash": "h", "prompt_id": p, "teacher": t, "response": f"{text} {t}."}
        | {"verdict": "unchecked", "source": "s", "source_line": 1}
        for t in "ab"
        for p in "pq"
    ]
    frame = pl.DataFrame(traces, schema=tables.TRACES.schema)
    paths = [tmp_path / f"{name}.parquet" for name in ("prompts", "traces", "steps")]
    table_files.write(tables.PROMPTS, pl.DataFrame(prompts, schema=tables.PROMPTS.schema), paths[0])
    table_files.write(tables.TRACES, frame, paths[1])
    table_files.write(tables.STEPS, segment.segment_table(frame, settings.segment), paths[2])
    out = tmp_path / "out"
    perturb.score_variants(settings, PoolTables(*paths), out, tmp_path / "cache", None)
    assert sorted(p.name for p in out.iterdir()) == ["unit-paragraph.parquet", "window-3.parquet", "window-5.parquet"]
    found = {p.stem: table_files.read(tables.STEP_SCORES, p) for p in out.iterdir()}
    (prompt,) = {i.split("-")[1] for of in found.values() for i in of["trace_id"]}
    assert all(set(of["trace_id"]) == {f"a-{prompt}", f"b-{prompt}"} for of in found.values())
    # Other windows have other local sums and the same full ones; paragraphs are fewer steps of as many tokens.
    three, five, paragraphs = (found[name] for name in ("window-3", "window-5", "unit-paragraph"))
    assert three["full_logprob"].equals(five["full_logprob"])
    assert not three["local_logprob"].equals(five["local_logprob"])
    assert paragraphs.height < three.height and paragraphs["n_tokens"].sum() == three["n_tokens"].sum()
