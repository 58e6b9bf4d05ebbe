"""Which steps of the chosen traces are left out of the loss (`train.steps`), and how exports say it."""

import logging
from typing import Any

import polars as pl

from stepsift import params
from stepsift.core import tables
from stepsift.core.errors import TableError
from stepsift.core.text import count
from stepsift.metrics._metric import uniform
from stepsift.select.pool import ScoredPool

log = logging.getLogger(__name__)

DETAIL, TRAIN_END = "train_detail", "train_end"
"""Columns of examples where steps are masked: spans of the response, and whether the token that ends it is learned."""
Span = dict[str, Any]

_N = pl.col("n_tokens")


def masked_steps(trace_ids: pl.Series, pool: ScoredPool, steps: params.DroppedSteps, seed: int) -> pl.DataFrame:
    """Table masked_steps of these traces.

    A trace's steps with tokens are put in the order in which they go (`steps.drop`; ties by number of the step). Of
    them as many are masked as bring the masked tokens nearest to `steps.share` of the trace's, the fewer of two that
    are as near, and never all. A trace with a step that has no score is left whole, as is one of a single step. `seed`
    decides a draw, with trace and step and nothing else. Raises TableError where a step lies nowhere.
    """
    own = pl.col("trace_id").is_in(trace_ids.unique().implode())
    score = pl.lit(0.0) if steps.needs is None else pl.col(f"{steps.needs}_logprob") / _N
    parts = [
        frame.filter(own & (_N > 0)).select("trace_id", "step", "n_tokens", score.alias("score"))
        for frame in pool.step_scores()
    ]
    frame = pl.concat(parts) if parts else pl.DataFrame(schema=tables.STEP_SCORES.schema).with_columns(score=0.0)
    unknown = frame.filter(pl.col("score").is_null())["trace_id"].unique()
    if len(unknown):
        log.warning("%s no score in the %s pass for a step: all of it is trained", _have(len(unknown)), steps.needs)
    known = frame.filter(~pl.col("trace_id").is_in(unknown.implode()))
    spared = (pl.col("step") == pl.col("step").max().over("trace_id")) & steps.spare_last
    masked = _nearest(known.with_columns(_place(known, steps, seed).alias("order"), spared=spared), steps.share)
    return _located(masked, pool)


def _have(n: int) -> str:
    return f"{count(n, 'trace')} {'has' if n == 1 else 'have'}"


def _place(frame: pl.DataFrame, steps: params.DroppedSteps, seed: int) -> pl.Series:
    """A number for each step: the one with the smallest goes first."""
    if steps.drop == "random":
        return uniform(frame.select(pl.format("{} {}", "trace_id", "step")).to_series(), seed)
    if steps.drop == "last":
        return -frame["step"].cast(pl.Float64)
    return frame["score"] if steps.drop == "lowest" else -frame["score"]


def _nearest(frame: pl.DataFrame, share: float) -> pl.DataFrame:
    """The steps that go, of a frame with trace_id, step, n_tokens, order and spared: such a step comes last, and one
    stays."""
    gap = (pl.col("masked") - share * pl.col("of_trace")).abs()
    ordered = (
        frame.sort("trace_id", "spared", "order", "step")
        .with_columns(
            _N.cum_sum().over("trace_id").alias("masked"),
            _N.sum().over("trace_id").alias("of_trace"),
            (pl.int_range(1, pl.len() + 1) < pl.len()).over("trace_id").alias("may_go"),
            pl.int_range(1, pl.len() + 1).over("trace_id").alias("place"),
        )
        .with_columns(gap.alias("gap"))
    )
    best = (
        ordered.filter("may_go")
        .sort("trace_id", "gap", "place")
        .group_by("trace_id", maintain_order=True)
        .agg(pl.col("place").first().alias("last"), pl.col("gap").first().alias("least"))
    )
    joined = ordered.join(best, on="trace_id", how="inner", maintain_order="left")
    worth_it = pl.col("least") < share * pl.col("of_trace")
    return joined.filter(worth_it & (pl.col("place") <= pl.col("last"))).select("trace_id", "step", "n_tokens")


def _located(masked: pl.DataFrame, pool: ScoredPool) -> pl.DataFrame:
    """With start and end, in characters of the response."""
    keys = ["trace_id", "step"]
    if pool.steps is None:
        raise TableError("the pool was read without table steps, which says where steps lie; run 'dvc repro segment'")
    parts = [
        frame.select(*keys, "start", "end").join(masked.select(keys), on=keys, how="semi") for frame in pool.steps()
    ]
    places = pl.concat(parts) if parts else pl.DataFrame(schema=tables.STEPS.schema).select(*keys, "start", "end")
    located = masked.join(places, on=keys, how="left").select(tables.MASKED_STEPS.schema.keys()).sort(keys)
    if located["start"].null_count():
        missing = located.filter(pl.col("start").is_null()).row(0, named=True)
        raise TableError(
            f"step {missing['step']} of trace {missing['trace_id']} was scored and is not in table steps; run "
            "'dvc repro' to rebuild both"
        )
    return located


def with_masks(examples: pl.DataFrame, masked: pl.DataFrame, steps: params.DroppedSteps) -> pl.DataFrame:
    """Examples with DETAIL, and with TRAIN_END where traces are cut; `masked` is their table masked_steps.

    DETAIL covers each response: spans of {begin_offset, end_offset, train}, in characters, the end within the span, as
    axolotl takes them (`message_field_training_detail`).
    """
    by_trace: dict[str, list[tuple[int, int]]] = {}
    for trace_id, start, end in masked.select("trace_id", "start", "end").iter_rows():
        by_trace.setdefault(trace_id, []).append((start, end))
    details = [
        spans(len(response), by_trace.get(trace_id, []))
        for trace_id, response in examples.select("trace_id", "response").iter_rows()
    ]
    frame = examples.with_columns(pl.Series(DETAIL, details, dtype=SPANS))
    if steps.drop != "last":
        return frame
    return frame.with_columns((~pl.col("trace_id").is_in(list(by_trace))).alias(TRAIN_END))


SPANS = pl.List(pl.Struct({"begin_offset": pl.Int64, "end_offset": pl.Int64, "train": pl.Boolean}))


def spans(length: int, masked: list[tuple[int, int]]) -> list[Span]:
    """Spans that cover a text of so many characters; `masked` are (start, end) in order, the end behind the span."""
    cuts: list[tuple[int, int, bool]] = []
    at = 0
    for start, end in masked:
        if start > at:
            cuts.append((at, start, True))
        if cuts and not cuts[-1][2]:
            cuts[-1] = (cuts[-1][0], end, False)
        else:
            cuts.append((start, end, False))
        at = end
    if at < length:
        cuts.append((at, length, True))
    return [{"begin_offset": start, "end_offset": end - 1, "train": train} for start, end, train in cuts]


def mask_columns(frame: pl.DataFrame) -> list[str]:
    """Those of DETAIL and TRAIN_END that the frame has."""
    return [column for column in (DETAIL, TRAIN_END) if column in frame.columns]
