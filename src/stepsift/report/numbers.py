"""What the charts show, reduced from the tables to a few rows each: the size of a page does not grow with the pool."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from stepsift.metrics import Metric

MOST_NAMES = 24
"""Teachers of a chart; the rest, the ones with the fewest traces, are shown together."""
MOST_DOMAINS = 6
"""Domains of a chart; likewise."""
OTHERS = "(others)"
NO_DOMAIN = "(none)"
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
_VALUE_BINS = 40
_LOWEST_NATS = -12.0
_STEP_WIDTH = -_LOWEST_NATS / _VALUE_BINS
_ROUNDING = 1e-12
_SUMMED: dict[str, type[pl.DataType]] = {"n_tokens": pl.Int64, "full_logprob": pl.Float64, "local_logprob": pl.Float64}
_LENGTHS = {"n_tokens": "trace_tokens", "step_tokens": "step_tokens"}


def few(values: pl.Series, most: int) -> list[str]:
    """The `most` values that occur most often, or all; sorted by how often, then by name."""
    counts = values.value_counts(name="n").sort(["n", values.name], descending=[True, False])
    return counts[values.name].head(most).to_list()


def grouped(column: str, kept: Sequence[str]) -> pl.Expr:
    """The column with every value that is not kept as OTHERS."""
    return pl.when(pl.col(column).is_in(list(kept))).then(pl.col(column)).otherwise(pl.lit(OTHERS)).alias(column)


def distributions(scores: pl.DataFrame, domains: pl.DataFrame, metrics: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Metric to teacher, domain, n and the QUANTILES of its scores; `domains` has prompt_id and domain.

    Sorted by the median over all of a teacher's domains, the lowest first.
    """
    frame = scores.join(domains, on="prompt_id", how="left").with_columns(pl.col("domain").fill_null(NO_DOMAIN))
    frame = frame.with_columns(
        grouped("teacher", few(frame["teacher"], MOST_NAMES)), grouped("domain", few(frame["domain"], MOST_DOMAINS))
    )
    of_metric = {}
    for metric in metrics:
        has = frame.filter(pl.col(metric).is_not_null())
        quantiles = [pl.col(metric).quantile(q, "linear").alias(name) for name, q in QUANTILES.items()]
        parts = has.group_by("teacher", "domain").agg(pl.len().alias("n"), *quantiles)
        middle = has.group_by("teacher").agg(pl.col(metric).median().alias("middle"))
        of_metric[metric] = parts.join(middle, on="teacher").sort("middle", "teacher", "domain").drop("middle")
    return of_metric


def gains(learned: pl.DataFrame) -> pl.DataFrame:
    """Columns selector, trace_id, step, place, before, after and gain (after - before), nats per token; table learned.

    In the whole context, as training sees a trace; in windows for a selector without such values. Steps that have
    neither are left out.
    """
    full = pl.col("full_before").is_not_null() & pl.col("full_after").is_not_null()
    has_full = full.any().over("selector")
    values = [
        pl.when(has_full).then(pl.col(f"full_{w}")).otherwise(pl.col(f"local_{w}")).alias(w)
        for w in ("before", "after")
    ]
    frame = learned.select("selector", "trace_id", "step", "place", *values)
    return frame.with_columns(gain=pl.col("after") - pl.col("before")).filter(pl.col("gain").is_not_null())


def learned_curves(learned: pl.DataFrame) -> pl.DataFrame:
    """Means over the steps of each tenth of their traces: selector, tenth (1 to 10), n, before, after; every step
    weighs the same."""
    tenth = ((pl.col("place") * 10).floor().clip(0, 9) + 1).cast(pl.Int32).alias("tenth")
    means = (pl.len().alias("n"), pl.col("before").mean(), pl.col("after").mean())
    return gains(learned).group_by("selector", tenth).agg(means).sort("selector", "tenth")


def most_learned(learned: pl.DataFrame, n: int = 5) -> pl.DataFrame:
    """The `n` steps with the most gain of each selector, and the `n` with the least: columns of `gains`, sorted by
    gain, and `most`; ties by trace and step."""
    ordered = gains(learned).sort("selector", "gain", "trace_id", "step", descending=[False, True, False, False])
    rank, size = pl.int_range(pl.len()).over("selector"), pl.len().over("selector")
    marked = ordered.with_columns(most=rank < n, least=rank >= size - n)
    return marked.filter(pl.col("most") | pl.col("least")).drop("least")


def agreement(pool: pl.DataFrame, metrics: Sequence[Metric]) -> pl.DataFrame:
    """One row a pair of metrics: `one`, `other`, `share` of the prompts on which both like the same candidate best.

    `changed` is how many of the `n` prompts on which both are defined would get another trace. Metrics without a
    direction are left out; of equal scores the first trace id counts.
    """
    best = {}
    for metric in metrics:
        if metric.better is not None and pool[metric.name].null_count() < pool.height:
            ordered = pool.filter(pl.col(metric.name).is_not_null()).sort(
                "prompt_id", metric.name, "trace_id", descending=[False, metric.better == "high", False]
            )
            best[metric.name] = ordered.group_by("prompt_id", maintain_order=True).agg(pl.col("trace_id").first())
    rows = []
    for one, first in best.items():
        for other, second in best.items():
            both = first.join(second, on="prompt_id", suffix="_other")
            same = int((both["trace_id"] == both["trace_id_other"]).sum())
            share = same / both.height if both.height else None
            rows.append({"one": one, "other": other, "share": share, "changed": both.height - same, "n": both.height})
    schema = {"one": pl.String, "other": pl.String, "share": pl.Float64, "changed": pl.Int64, "n": pl.Int64}
    return pl.DataFrame(rows, schema=schema)


def meetings(pool: pl.DataFrame, metric: str) -> pl.DataFrame:
    """One row per pair of teachers, each with itself too: `one`, `other`, and on how many prompts, `n`, both have a
    candidate with a score by the metric; `share` of the largest number. Of the MOST_NAMES teachers with most traces."""
    own = pool.filter(pl.col(metric).is_not_null(), pl.col("teacher").is_in(few(pool["teacher"], MOST_NAMES)))
    prompts = own.select("prompt_id", "teacher").unique()
    both = prompts.join(prompts, on="prompt_id").group_by(one="teacher", other="teacher_right").agg(pl.len().alias("n"))
    names = prompts.select("teacher").unique()
    pairs = names.select(one="teacher").join(names.select(other="teacher"), how="cross")
    counted = pairs.join(both, on=["one", "other"], how="left").with_columns(pl.col("n").fill_null(0).cast(pl.Int64))
    return counted.with_columns(share=pl.col("n") / pl.col("n").max()).sort("one", "other")


def correlations(scores: pl.DataFrame, metrics: Sequence[str]) -> pl.DataFrame:
    """One row per metric: Spearman's rho of its scores with the tokens of a trace and with its mean tokens per step.

    None where it is not defined: fewer than two traces with a score, or all of them alike.
    """
    frame = scores.with_columns(step_tokens=pl.col("n_tokens") / pl.col("n_steps"))
    rows = []
    for metric in metrics:
        has = frame.filter(pl.col(metric).is_not_null())
        rho = [pl.corr(metric, of, method="spearman").alias(name) for of, name in _LENGTHS.items()]
        values = has.select(rho).row(0, named=True) if has.height > 1 else dict.fromkeys(_LENGTHS.values())
        defined = {name: v if v is not None and math.isfinite(v) else None for name, v in values.items()}
        rows.append({"metric": metric} | defined)
    return pl.DataFrame(rows, schema={"metric": pl.String} | dict.fromkeys(_LENGTHS.values(), pl.Float64))


def trace_lengths(scores: pl.DataFrame, metric: str) -> pl.DataFrame:
    """How a metric's scores spread among the traces of one length.

    Rows with length and length_end (tokens, half an octave), low and high (scores, one of 40 equal parts of what lies
    between the lowest and the highest), n traces and their share among those of the length. Traces without a score are
    left out.
    """
    values = scores.filter(pl.col(metric).is_not_null()).select("n_tokens", value=metric)
    seen = values["value"].to_numpy()
    lowest, highest = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    width = (highest - lowest) / _VALUE_BINS or 1.0
    return _shares(_cells(values, lowest, width), lowest, width)


class StepLengths:
    """Steps' mean log-probabilities in their window by the steps' lengths, counted part by part of step_scores.

    Steps without tokens or without a score are left out. The lowest cell holds all that is below -12 nats per token.
    """

    def __init__(self) -> None:
        self.n = 0
        nothing = pl.DataFrame(schema={"n_tokens": pl.Int32, "value": pl.Float64})
        self._cells = _cells(nothing, _LOWEST_NATS, _STEP_WIDTH)
        self._sums = np.zeros(5)

    def add(self, part: pl.DataFrame) -> None:
        """Count some rows, with n_tokens and local_logprob (the sum over a step's tokens, nats)."""
        has = part.filter(pl.col("local_logprob").is_not_null() & pl.col("n_tokens").gt(0))
        values = has.select("n_tokens", value=pl.col("local_logprob") / pl.col("n_tokens"))
        self.n += values.height
        both = pl.concat([self._cells, _cells(values, _LOWEST_NATS, _STEP_WIDTH)])
        self._cells = both.group_by("length_bin", "value_bin").agg(pl.col("n").sum())
        x, y = np.log2(values["n_tokens"].to_numpy().astype(float)), values["value"].to_numpy()
        self._sums += [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]

    def shares(self) -> pl.DataFrame:
        """As `trace_lengths` has it, of steps and their mean log-probabilities."""
        return _shares(self._cells, _LOWEST_NATS, _STEP_WIDTH)

    @property
    def correlation(self) -> float | None:
        """Pearson's r of the mean log-probability with the logarithm of the tokens; None where it is not defined."""
        if self.n < 2:
            return None
        x, y, xx, yy, xy = self._sums / self.n
        spread = (xx - x * x) * (yy - y * y)
        # Sums of squares leave some rounding where all values are alike.
        return float((xy - x * y) / spread**0.5) if spread > _ROUNDING * xx * yy else None


class AlongTraces:
    """Log-probabilities by where a step lies in its trace, in the whole context and in its window.

    `teachers` has trace_id and teacher. A trace has `parts` parts, numbered from 1; a step counts where its middle
    token lies, with as much weight as it has tokens. Steps without tokens, or without a score of either kind, are left
    out.
    """

    def __init__(self, teachers: pl.DataFrame, parts: int = 10) -> None:
        self._teachers, self._parts = teachers.select("trace_id", "teacher"), parts
        self._sums = [pl.DataFrame(schema={"teacher": pl.String, "part": pl.Int32} | _SUMMED)]

    def add(self, steps: pl.DataFrame) -> None:
        """Count rows of step_scores, all of each trace that is among them."""
        n = pl.col("n_tokens")
        middle = (n.cum_sum().over("trace_id", order_by="step") - n / 2) / n.sum().over("trace_id")
        self._sums.append(
            steps.drop_nulls(["full_logprob", "local_logprob"])
            .filter(n > 0)
            .with_columns(part=(middle * self._parts).floor().cast(pl.Int32) + 1)
            .join(self._teachers, on="trace_id")
            .group_by("teacher", "part")
            .agg(pl.col(name).sum().cast(dtype) for name, dtype in _SUMMED.items())
        )

    def means(self) -> pl.DataFrame:
        """Teacher, part, n_tokens, and the means full and windowed (nats per token), sorted by teacher and part."""
        n = pl.col("n_tokens")
        means = {"full": pl.col("full_logprob") / n, "windowed": pl.col("local_logprob") / n}
        summed = pl.concat(self._sums).group_by("teacher", "part").agg(pl.all().sum())
        return summed.select("teacher", "part", n, **means).sort("teacher", "part")


def _cells(values: pl.DataFrame, lowest: float, width: float) -> pl.DataFrame:
    """How many rows of n_tokens and value lie in which cell: length_bin (half octaves), value_bin, n."""
    # NumPy's log2 is exact at powers of two, polars' logarithm to a base is not.
    lengths = pl.Series("length_bin", np.floor(2 * np.log2(values["n_tokens"].to_numpy().astype(float))), pl.Float64)
    bins = ((pl.col("value") - lowest) / width).floor().clip(0, _VALUE_BINS - 1).cast(pl.Int64)
    cells = values.select(lengths.cast(pl.Int64), value_bin=bins)
    return cells.group_by("length_bin", "value_bin").agg(pl.len().cast(pl.Int64).alias("n"))


def _shares(cells: pl.DataFrame, lowest: float, width: float) -> pl.DataFrame:
    low = pl.lit(lowest) + pl.col("value_bin") * width
    return cells.sort("length_bin", "value_bin").select(
        length=2.0 ** (pl.col("length_bin") / 2),
        length_end=2.0 ** ((pl.col("length_bin") + 1) / 2),
        low=low,
        high=low + width,
        n="n",
        share=pl.col("n") / pl.col("n").sum().over("length_bin"),
    )


def composition(curated: dict[str, pl.DataFrame], domains: pl.DataFrame) -> pl.DataFrame:
    """Selector, teacher, domain and `n` traces of the curated sets; rare teachers and domains together."""
    frames = [f.select("prompt_id", "teacher", selector=pl.lit(name)) for name, f in curated.items()]
    schema = dict.fromkeys(("prompt_id", "teacher", "selector"), pl.String())
    rows = pl.concat([pl.DataFrame(schema=schema), *frames]).join(domains, on="prompt_id", how="left")
    rows = rows.with_columns(pl.col("domain").fill_null(NO_DOMAIN))
    rows = rows.with_columns(
        grouped("teacher", few(rows["teacher"], 9)), grouped("domain", few(rows["domain"], MOST_DOMAINS))
    )
    counts = rows.group_by("selector", "teacher", "domain").agg(pl.len().alias("n"))
    return counts.sort("selector", "teacher", "domain")


def rejections(stages: dict[str, Iterable[pl.DataFrame]]) -> pl.DataFrame:
    """Stage, reason and `n` rows of the tables rejected, in the order of the stages, the most frequent reason first."""
    counts = [
        part.group_by("reason").agg(pl.len().alias("n")).with_columns(stage=pl.lit(stage), at=pl.lit(at))
        for at, (stage, parts) in enumerate(stages.items())
        for part in parts
    ]
    empty = pl.DataFrame(schema={"reason": pl.String, "n": pl.UInt32, "stage": pl.String, "at": pl.Int32})
    summed = pl.concat([empty, *counts]).group_by("at", "stage", "reason").agg(pl.col("n").sum())
    return summed.sort(["at", "n", "reason"], descending=[False, True, False]).select("stage", "reason", "n")
