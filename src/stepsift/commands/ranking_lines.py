"""Rankings and rejected rows as lines to read, each a label of 12 characters and a sentence."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from stepsift.ingest.run import IngestCounts
from stepsift.metrics import all_metrics
from stepsift.select.ranking import ALL_DOMAINS, ORDERS, TOLD_APART

_CERTAIN = 0.995
"""What would be rounded to 1.00."""


@dataclass(frozen=True)
class Ranked:
    """Lines to read, and the rows of table teachers over all domains that they tell."""

    lines: list[str]
    teachers: pl.DataFrame

    def as_json(self) -> dict[str, Any]:
        """Both, for programs."""
        return {"lines": self.lines, "teachers": self.teachers.to_dicts()}


def line(label: str, text: str) -> str:
    """One line of output."""
    return f"{label:11} {text}"


def counted(n: int, what: str) -> str:
    """'1 trace', '2 traces'."""
    return f"1 {what}" if n == 1 else f"{n} {what}s"


def rejected_lines(rejected: pl.DataFrame) -> list[str]:
    """A line for each reason, the most frequent first, with the first row by source and line; for table rejected."""
    by_reason = (
        rejected.sort("source", "source_line")
        .group_by("reason", maintain_order=True)
        .agg(pl.len(), pl.col("source").first(), pl.col("source_line").first(), pl.col("detail").first())
        .sort("len", "reason", descending=[True, False])
    )
    return [
        line("rejected", f"{n} as {reason}, the first is {source} row {row}: {detail}")
        for reason, n, source, row, detail in by_reason.iter_rows()
    ]


def ranked(before: list[str], teachers: pl.DataFrame, metrics: list[str], after: list[str]) -> Ranked:
    """The rankings by `metrics` and what they rest on, between other lines; for table teachers."""
    of_metrics = (pl.col("domain") == ALL_DOMAINS) & pl.col("metric").is_in(metrics)
    return Ranked([*before, *_rankings(teachers, metrics), *after], teachers.filter(of_metrics))


def _rankings(teachers: pl.DataFrame, metrics: list[str]) -> list[str]:
    lines = [text for metric in metrics for text in ranking_lines(teachers, metric)]
    return [*lines, line("measured", "by scores alone; what training on them gives is for 'stepsift audition' to say")]


def ranking_lines(teachers: pl.DataFrame, metric: str) -> list[str]:
    """The ranking by one metric over all domains; for table teachers.

    Teachers with their mean, 95 % interval and number of prompts, the best first, then who is above whom with what
    probability; a teacher that is not ranked comes last.
    """
    about = all_metrics()[metric]
    if about.draw is not None or not about.ranks_teachers:
        return [line(metric, "it ranks no teachers")]
    rows = teachers.filter((pl.col("metric") == metric) & (pl.col("domain") == ALL_DOMAINS))
    if rows.is_empty():
        return [line(metric, f"no trace has a score: the {about.needs} pass was not possible for any")]
    direction = {"high": "higher is better", "low": "lower is better", None: "no direction, so no ranks"}[about.better]
    n_common = rows["n_common"][0]
    if not n_common:
        counts = ", ".join(f"{r['teacher']} {r['n_prompts']}" for r in rows.iter_rows(named=True))
        return [line(metric, f"no prompt has a score of every teacher, so nothing can be compared (prompts: {counts})")]
    on = counted(n_common, "prompt")
    lines = [line(metric, f"{direction}; mean and 95 % interval on the {on} that all ranked teachers have")]
    ranked = rows.filter(pl.col("mean").is_not_null()).sort("rank", "teacher")
    width = max(len(name) for name in rows["teacher"])
    for row in ranked.iter_rows(named=True):
        place = "-" if row["rank"] is None else row["rank"]
        text = f"{place:>2} {row['teacher']:{width}} {row['mean']:10.4f} {_interval(row)}{_bounds(row)}{_kept(row)}"
        lines.append(line("", text))
    for row in rows.filter(pl.col("mean").is_null()).iter_rows(named=True):
        on = counted(row["n_prompts"], "prompt")
        lines.append(line("", f"   {row['teacher']:{width}} not ranked: scores on {on} only"))
    settled = ranked["settled_after"].first()
    if isinstance(settled, int):
        lines.append(
            line("", f"the order no longer changed after {counted(settled, 'prompt')} (median of {ORDERS} orders)")
        )
    names = ranked["teacher"].to_list()
    for above, below, p in zip(names, names[1:], ranked["p_above_next"], strict=False):
        if p is not None:
            lines.append(line("", comparison(above, below, p)))
    return lines


def comparison(above: str, below: str, p: float) -> str:
    """Whether one teacher is above the one ranked next, which it is with probability `p`."""
    probability = "more than .99" if p >= _CERTAIN else f"{p:.2f}".removeprefix("0")
    if p >= TOLD_APART:
        return f"{above} is above {below} with probability {probability}"
    return f"{above} and {below} are not distinguishable: {above} is above {below} with probability {probability}"


def _bounds(row: dict[str, int | None]) -> str:
    """The ranks that a teacher could have, where they are more than one."""
    low, high = row["rank_low"], row["rank_high"]
    return "" if low is None or low == high else f", rank {low} to {high}"


def _kept(row: dict[str, float]) -> str:
    """How much of a teacher's work is judged, where it is not all of it."""
    return "" if row["share_kept"] == 1 else f", {row['share_kept']:.0%} of {row['n_traces']} traces kept"


def _interval(row: dict[str, float | None]) -> str:
    low, high = row["ci_low"], row["ci_high"]
    return "(no interval from 1 prompt)" if low is None else f"[{low:.4f}, {high:.4f}]"


def read_line(label: str, counts: IngestCounts) -> str:
    """What ingest made of the sources."""
    rows, traces = counted(counts.total.read, "row"), counted(counts.total.kept, "trace")
    return line(label, f"{rows}, {traces} of {counted(counts.prompts, 'prompt')}")
