"""How sure a choice is: the share of small perturbations under which the same trace is chosen.

A jackknife over blocks of steps: each candidate's steps are cut into BLOCKS runs of equal length, and the choice is
made BLOCKS times, each time without the run of that number in every candidate. It costs no forward pass, since scores
are made of sums over steps. Other windows and other units of steps are perturbations too, where they were scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import polars as pl

from stepsift import params
from stepsift.core import tables
from stepsift.metrics import Fits, Metric, score
from stepsift.metrics._sums import COLUMNS, block_sums, trace_sums
from stepsift.select.selection import PLACE, placed

BLOCKS = 10


@dataclass(frozen=True)
class Sums:
    """Trace sums of a pool, and what is needed of them for each block of steps."""

    traces: pl.DataFrame
    """Columns trace_id and COLUMNS, sorted by trace_id."""
    blocks: pl.DataFrame
    """Columns `trace` (row of `traces`), `block` (from 0) and the COLUMNS that were asked for."""


def read_sums(frames: Iterator[pl.DataFrame], columns: list[str]) -> Sums:
    """Trace sums and block sums of table step_scores, of which one frame at a time is in memory."""
    traces, blocks, n = [], [], 0
    for frame in frames:
        of_traces = trace_sums(frame)
        place = pl.int_range(n, n + of_traces.height, dtype=pl.Int32, eager=True).alias("trace")
        of_blocks = block_sums(frame, BLOCKS, columns).join(
            of_traces.select("trace_id").with_columns(place), on="trace_id", how="left", maintain_order="left"
        )
        traces.append(of_traces)
        blocks.append(of_blocks.drop("trace_id"))
        n += of_traces.height
    if not traces:
        empty = pl.DataFrame(schema=tables.STEP_SCORES.schema)
        return Sums(
            trace_sums(empty), block_sums(empty, BLOCKS, columns).with_columns(trace=pl.lit(0)).drop("trace_id")
        )
    return Sums(pl.concat(traces), pl.concat(blocks))


def columns_of(metrics: list[Metric]) -> list[str]:
    """The COLUMNS from which these metrics are computed; all of them where one is fitted."""
    if any(m.fit is not None for m in metrics):
        return list(COLUMNS)
    needed = {name for m in metrics if m.trace is not None for name in m.trace.meta.root_names()}
    return [c for c in COLUMNS if c in needed | {"n_tokens"}]


def expression(metric: Metric, fits: Fits) -> pl.Expr:
    """The metric's score over trace sums, as it was fitted."""
    return fits.scores[metric.name] if metric.fit is not None else score(metric)


def replicates(sums: Sums, candidates: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Candidates' trace sums without block 0, 1, .. of their steps.

    `candidates` has trace_id and is sorted by it. A trace that would lose all of its tokens is left whole.
    """
    rows = sums.traces.with_row_index("trace").select(pl.col("trace").cast(pl.Int32), "trace_id")
    rows = candidates.join(rows, on="trace_id", how="left", maintain_order="left")
    needed = [c for c in sums.blocks.columns if c in COLUMNS]
    whole = rows.select("trace", *(c for c in candidates.columns if c not in needed)).join(
        sums.traces.select("trace_id", *needed), on="trace_id", how="left", maintain_order="left"
    )
    for block in range(BLOCKS):
        out = sums.blocks.filter(pl.col("block") == block).select("trace", pl.col(needed).name.suffix("/out"))
        joined = whole.join(out, on="trace", how="left", maintain_order="left")
        all_of_it = pl.col("n_tokens") == pl.col("n_tokens/out")
        lost = {c: pl.when(~all_of_it).then(pl.col(f"{c}/out")).otherwise(0).fill_null(0) for c in needed}
        yield joined.with_columns((pl.col(c) - lost[c]).alias(c) for c in needed).select(whole.columns)


def shares(
    choices: dict[str, tuple[params.Selector, pl.DataFrame, pl.DataFrame]],
    candidates: pl.DataFrame,
    sums: Sums,
    fits: Fits,
    others: list[pl.DataFrame],
) -> dict[str, pl.DataFrame]:
    """For each selector, trace_id and stability of its choices.

    `choices` are by name: the selector, those of the `candidates` among which it chooses, and its choices. `others` are
    trace sums under other windows and units, of some prompts or all; a choice is only asked of those that hold all
    candidates of its prompt. A choice without a rival has no row, and draws have none.
    """
    counts: dict[str, list[pl.DataFrame]] = {name: [] for name in choices}
    for name, (selector, running, choice) in choices.items():
        metric = selector.metric
        if metric.draw is not None:
            continue
        rivals = running.filter(pl.col(metric.name).is_not_null())
        rivals = rivals.filter(pl.len().over("prompt_id") > selector.per_prompt).select("trace_id")
        # A fitted score depends on all candidates, also on those among which this selector may not choose.
        compared = candidates if metric.fit is not None else candidates.join(rivals, on="trace_id", how="semi")
        about = compared.select("trace_id", "prompt_id", "teacher", "content_hash").sort("trace_id")
        picked = choice.select("trace_id").join(rivals, on="trace_id", how="semi")
        for frame in chain(replicates(sums, about), (_complete(about, other) for other in others)):
            scored = frame.with_columns(expression(metric, fits).alias(metric.name))
            again = placed(scored.join(rivals, on="trace_id", how="semi"), metric)
            top = again.filter(pl.col(PLACE) <= selector.per_prompt).select("trace_id", wins=pl.lit(True))
            scored_again = picked.join(again.select("trace_id"), on="trace_id", how="semi")
            counts[name].append(
                scored_again.join(top, on="trace_id", how="left").with_columns(pl.col("wins").fill_null(False))
            )
    return {
        name: pl.concat(wins).group_by("trace_id").agg(pl.col("wins").mean().alias("stability")).sort("trace_id")
        if wins
        else pl.DataFrame(schema={"trace_id": pl.String, "stability": pl.Float64})
        for name, wins in counts.items()
    }


def _complete(about: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Other trace sums of those prompts of which they hold every candidate."""
    joined = about.join(other, on="trace_id", how="left", maintain_order="left")
    return joined.filter(pl.col("n_steps").is_not_null().all().over("prompt_id"))
