"""Traces with the ends of their steps, out of two tables."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from helpers.score_cases import MESSAGES
from helpers.score_pool import SHORT, frames
from stepsift.core import table_files, tables
from stepsift.core.errors import TableError
from stepsift.score import pool as pool_module
from stepsift.score.pool import Pool, Prompts, Trace, chunked, read


def rows_of(traces: dict[str, tuple[str, str]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables of {trace_id: (prompt_id, response)}."""
    parts = [frames({t: response}, prompt) for t, (prompt, response) in traces.items()]
    return pl.concat(p[0][0] for p in parts), pl.concat(p[1][0] for p in parts)


def test_only_traces_of_the_given_prompts_are_read():
    traces, steps = rows_of({"a": ("other", SHORT), "b": ("p", SHORT)})
    (seen,) = read([traces[:1], traces[1:]], iter([steps[:3], steps[3:]]), {"p"})
    assert (seen.trace_id, seen.prompt_id, seen.response) == ("b", "p", SHORT)
    assert seen.ends.tolist() == [9, len(SHORT)]
    assert seen.origin == {"source": "s.jsonl", "source_line": 1, "teacher": "t"}


def test_steps_of_other_traces_are_an_error():
    traces, steps = rows_of({"a": ("p", SHORT), "b": ("p", SHORT)})
    last = pl.when(pl.col("end") == len(SHORT)).then(20).otherwise("end").cast(pl.Int32)
    for wrong_traces, wrong_steps in (
        (traces, steps.filter(pl.col("trace_id") == "b")),
        (traces, steps.filter(pl.col("trace_id") == "a")),
        (traces[:1], steps),
        (traces, steps.with_columns(end=last)),
    ):
        with pytest.raises(TableError, match="traces and steps differ"):
            list(read([wrong_traces], iter([wrong_steps]), {"p"}))


def test_candidates_of_a_prompt_come_together(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(pool_module, "CHUNK_TRACES", 2)
    wanted = {f"t{i}": (f"p{i % 3}", SHORT + "x" * i) for i in range(7)}
    traces, steps = rows_of(wanted)
    table_files.write(tables.TRACES, traces, tmp_path / "traces.parquet")
    table_files.write(tables.STEPS, steps, tmp_path / "steps.parquet")
    pool = Pool({"p0": MESSAGES, "p2": MESSAGES}, tmp_path / "traces.parquet", tmp_path / "steps.parquet")
    assert pool.count() == 5
    together = ["t0", "t3", "t6", "t2", "t5"]
    for slice_chars in (10**6, 40, 1):
        monkeypatch.setattr(pool_module, "SLICE_CHARS", slice_chars)
        chunks = list(pool.chunks_by_prompt())
        assert [t.trace_id for c in chunks for t in c] == together
        assert max(map(len, chunks)) <= 2
    assert [t.trace_id for c in pool.chunks() for t in c] == ["t0", "t2", "t3", "t5", "t6"]


def test_a_chunk_is_closed_by_traces_or_characters(monkeypatch):
    monkeypatch.setattr(pool_module, "CHUNK_TRACES", 3)
    monkeypatch.setattr(pool_module, "CHUNK_CHARS", 10)
    texts = ["a", "b", "c", "d" * 10, "e" * 50, "f"]
    traces = [Trace(t, "p", t, np.array([len(t)]), {}) for t in texts]
    assert [[t.response[0] for t in c] for c in chunked(traces)] == [["a", "b", "c"], ["d"], ["e"], ["f"]]
    assert list(chunked([])) == []


def test_prompts_are_looked_up_in_their_table(tmp_path: Path):
    other = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    made = {"domain": None, "answer": None, "answer_kind": "none", "tests": None}
    rows = [{"prompt_id": i, "prompt": m, **made} for i, m in (("a", MESSAGES), ("b", other), ("c", MESSAGES))]
    table_files.write(tables.PROMPTS, pl.DataFrame(rows, schema=tables.PROMPTS.schema), tmp_path / "prompts.parquet")
    prompts = Prompts(tmp_path / "prompts.parquet", {"b", "c", "missing"})
    assert dict(prompts) == {"b": other, "c": MESSAGES}
    assert len(prompts) == 2 and "a" not in prompts
    assert dict(Prompts(tmp_path / "prompts.parquet", set())) == {}
