"""The declarations of the tables: they agree with themselves, and with what scores and versions may be."""

from pathlib import Path

import polars as pl
import pytest

from stepsift.core import table_files, tables
from stepsift.core.errors import TableError


def test_all_names_every_table_once():
    declared = [table for table in vars(tables).values() if isinstance(table, tables.Table)]
    assert list(tables.ALL.values()) == declared
    assert tables.STEP_SCORES.file == "step_scores.parquet"


@pytest.mark.parametrize("table", tables.ALL.values(), ids=lambda table: table.name)
def test_what_a_table_says_of_columns_is_said_of_its_own(table: tables.Table):
    assert table.key and len(set(table.key)) == len(table.key)
    for columns in (table.key, table.nullable, table.allowed, *(c.meta.root_names() for c in table.checks.values())):
        assert set(columns) <= set(table.schema)
    assert all(version < table.version for version in table.older)
    assert table.nullable.isdisjoint(table.key) or not table.unique


@pytest.mark.parametrize("value", [0.1, float("nan"), float("inf")])
def test_impossible_log_probabilities_are_refused(value: float):
    row = dict.fromkeys(tables.STEP_SCORES.schema, -1.0) | {"trace_id": "a", "step": 1, "n_tokens": 1, "n_first": 0}
    row["opens_branch"] = False
    good = pl.DataFrame([row], schema=tables.STEP_SCORES.schema)
    table_files.validate(tables.STEP_SCORES, good)
    with pytest.raises(TableError, match="a log-probability is at most 0"):
        table_files.validate(tables.STEP_SCORES, good.with_columns(full_logprob=pl.lit(value)))


def test_step_scores_of_the_version_before_are_read_with_nulls_and_others_are_refused(tmp_path: Path):
    """Scores of other revisions are evidence and fill caches: what they lack is null, not a reason to score again."""
    new = {"opens_branch", *(f"{p}_{s}" for p in tables.PASSES for s in tables.PICKED)}
    row = dict.fromkeys(tables.STEP_SCORES.schema, -1.0) | {"trace_id": "a", "step": 1, "n_tokens": 1, "n_first": 0}
    full = pl.DataFrame([row | {"opens_branch": False}], schema=tables.STEP_SCORES.schema)
    schema = {c: t for c, t in tables.STEP_SCORES.schema.items() if c not in new}
    nullable = tables.STEP_SCORES.nullable - new
    for version, readable in ((1, False), (2, True), (4, False)):
        path = tmp_path / f"{version}.parquet"
        old = tables.Table("step_scores", version, schema, ("trace_id", "step"), nullable=nullable)
        table_files.write(old, full.drop(new), path)
        if not readable:
            with pytest.raises(TableError, match=rf"step_scores version {version}, needed is step_scores version 3"):
                table_files.read(tables.STEP_SCORES, path)
            continue
        frame = table_files.read(tables.STEP_SCORES, path)
        assert frame.schema == full.schema and frame.drop(new).equals(full.drop(new))
        assert all(frame[c].null_count() == 1 for c in new)
        (part,) = table_files.scan(tables.STEP_SCORES, path, ["trace_id", "local_top_entropy"])
        assert part.rows() == [("a", None)]
