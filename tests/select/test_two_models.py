"""Scores of a reference beside those of the student: by trace and step, however both are cut into frames."""

import json
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from helpers.metric_rows import steps_of
from stepsift.core import table_files, tables
from stepsift.core.errors import TableError
from stepsift.select.pool import beside, find_reference

NUMBERS = {"a": 3, "b": 1, "c": 2, "d": 4}
"""Steps of each trace."""


def scores(traces: str, sign: int) -> pl.DataFrame:
    rows = [(t, i) for t in traces for i in range(1, NUMBERS[t] + 1)]
    values = [{"n_tokens": sign + i, "local_logprob": -float(i), "full_logprob": -sign * 2.0} for _, i in rows]
    return steps_of([{"trace_id": t, "step": i} | v for (t, i), v in zip(rows, values, strict=True)])


def test_hand_worked():
    columns = ["trace_id", "step", *tables.OF_REFERENCE]
    joined = pl.concat(beside(iter([scores("ab", 1), scores("c", 1)]), iter([scores("ac", 5).select(columns)])))
    assert joined.columns == [*tables.STEP_SCORES.schema, *(f"reference_{c}" for c in tables.OF_REFERENCE)]
    assert joined["reference_n_tokens"].to_list() == [6, 7, 8, None, 6, 7]
    assert joined["reference_full_logprob"].to_list() == [-10.0] * 3 + [None] + [-10.0] * 2
    assert_frame_equal(joined.select(*tables.STEP_SCORES.schema), scores("abc", 1))


@given(st.sets(st.sampled_from("abcd"), min_size=1), st.sets(st.sampled_from("abcd")), st.sets(st.integers(1, 9)))
def test_frames_and_missing_traces_change_nothing(of_student, of_reference, cuts):
    """The student's frames hold whole traces, the reference's are cut anywhere."""
    columns = ["trace_id", "step", *tables.OF_REFERENCE]
    student, reference = scores("".join(sorted(of_student)), 1), scores("".join(sorted(of_reference)), 5)
    places = [0, *sorted(c for c in cuts if c < reference.height), reference.height]
    pieces = [reference.select(columns)[a:b] for a, b in pairwise(places)]
    frames = student.partition_by("trace_id", maintain_order=True)
    joined = pl.concat(beside(iter(frames), iter(p for p in pieces if p.height)))
    named = {c: f"reference_{c}" for c in tables.OF_REFERENCE}
    expected = student.join(
        reference.select(columns).rename(named), on=["trace_id", "step"], how="left", maintain_order="left"
    )
    assert_frame_equal(joined, expected)


def test_the_first_reference_is_the_default(tmp_path: Path):
    assert find_reference(tmp_path, None) is None
    for name in ("teacher", "base"):
        (tmp_path / "references" / name).mkdir(parents=True)
        table_files.write(tables.STEP_SCORES, scores("a", 1), tmp_path / f"references/{name}/step_scores.parquet")
    listed = [{"name": name, "path": f"data/references/{name}"} for name in ("teacher", "base")]
    (tmp_path / "references" / tables.REFERENCES).write_text(json.dumps(listed))
    names = {wanted: find_reference(tmp_path, wanted).about["name"] for wanted in (None, "teacher", "base")}
    assert names == {None: "teacher", "teacher": "teacher", "base": "base"}
    assert find_reference(tmp_path, "base").step_scores == tmp_path / "references/base/step_scores.parquet"
    with pytest.raises(TableError, match=r"no scores of reference 'other' in .*; run 'dvc repro score'"):
        find_reference(tmp_path, "other")
