"""Traces to the `steps` table, and the invariant that its rows must keep."""

from pathlib import Path

import polars as pl

from stepsift import params
from stepsift.core import tables
from stepsift.core.errors import TableError
from stepsift.core.text import count
from stepsift.segment.llm.grouping import Grouping
from stepsift.segment.offsets import steps_from_file
from stepsift.segment.splitter import Steps, split

_COLUMNS = ("start", "end", "kind", "capped")


def segment_table(traces: pl.DataFrame, settings: params.Segment, grouping: Grouping | None = None) -> pl.DataFrame:
    """The rows of `steps` for rows of `traces`, sorted by trace_id and step; `check_cover` was run on them.

    `grouping` is what `open_grouping` gives. Without one, `unit: llm` is cut by the rules of its fallback.
    """
    known = [c for c in ("trace_id", "content_hash", "response") if c in traces.columns]
    traces = traces.select(known).filter(pl.col("response") != "").sort("trace_id")
    if grouping is not None:
        cut = grouping.cut(dict(traces.select("trace_id", "response").iter_rows()))
    elif settings.offsets is not None:
        cut = [Steps(*steps) for steps in steps_from_file(traces, Path(settings.offsets))]
    else:
        cut = [split(response, settings) for response in traces["response"]]
    columns = [
        pl.Series(name, [steps[i] for steps in cut], dtype=pl.List(tables.STEPS.schema[name]))
        for i, name in enumerate(_COLUMNS)
    ]
    steps = (
        traces.select("trace_id", *columns)
        .with_columns(pl.int_ranges(1, pl.col("start").list.len() + 1, dtype=pl.Int32).alias("step"))
        .explode("step", *_COLUMNS)
        .select(*tables.STEPS.schema)
    )
    check_cover(steps, traces)
    return steps


def check_cover(steps: pl.DataFrame, traces: pl.DataFrame) -> None:
    """Raise TableError unless the steps of every trace, numbered from 1, cover its response without gap or overlap.

    `steps` is sorted by trace_id and step and holds the steps of these traces and of no others. Offsets count
    characters (Unicode code points). A trace with an empty response has no steps.
    """
    lengths = traces.select("trace_id", pl.col("response").str.len_chars().cast(pl.Int64).alias("length"))
    before = pl.col("end").shift(1, fill_value=0).over("trace_id")
    number = pl.int_range(1, pl.len() + 1).over("trace_id")
    broken = steps.filter((pl.col("start") != before) | (pl.col("end") <= pl.col("start")) | (pl.col("step") != number))
    if broken.height:
        raise TableError(f"steps: a gap, an overlap or a number out of order at {broken.row(0, named=True)}")
    ends = steps.group_by("trace_id").agg(pl.col("end").last().cast(pl.Int64)).sort("trace_id")
    unknown = ends.join(lengths, on="trace_id", how="anti")
    if unknown.height:
        raise TableError(f"steps: trace {unknown['trace_id'][0]!r} has steps but is not among the traces")
    covered = lengths.join(ends, on="trace_id", how="left").with_columns(pl.col("end").fill_null(0))
    short = covered.filter(pl.col("end") != pl.col("length"))
    if short.height:
        row = short.row(0, named=True)
        length = count(row["length"], "character")
        raise TableError(f"steps: those of trace {row['trace_id']!r} end at {row['end']}, its response at {length}")
