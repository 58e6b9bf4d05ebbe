"""Rankings and rejected rows as lines to read, each a label of 12 characters and a sentence."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from stepsift.core.text import count, terminal_line
from stepsift.ingest.run import IngestCounts
from stepsift.metrics import all_metrics
from stepsift.score.window_share import of_teachers
from stepsift.select.ranking import ALL_DOMAINS, DISTINGUISHED, FEW_PROMPTS, ORDERS, incomparable

_CERTAIN = 0.995
"""What would be rounded to 1.00."""
_MOST_WIDTH = 40
"""Of the column of teachers: a longer name makes its own line longer, and no other."""


@dataclass(frozen=True)
class Ranked:
    """Lines to read, and the rows of table teachers over all domains that they tell."""

    lines: list[str]
    teachers: pl.DataFrame

    def as_json(self) -> dict[str, Any]:
        """Both, for programs."""
        return {"lines": self.lines, "teachers": self.teachers.to_dicts()}


def line(label: str, text: str) -> str:
    """One line of output, also where a name in it has a line feed."""
    return f"{label:11} {terminal_line(text)}"


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
    lines = [text for metric in metrics for text in lines_by_metric(teachers, metric)]
    return [*lines, line("measured", "by scores alone; what training on them gives is for 'stepsift audition' to say")]


def lines_by_metric(teachers: pl.DataFrame, metric: str) -> list[str]:
    """The ranking by one metric over all domains; for table teachers.

    Teachers with their mean, 95 % interval and number of prompts, the best first, then who is above whom with what
    probability and on how many prompts they met; a teacher that is not ranked comes last, with the reason.
    """
    about = all_metrics()[metric]
    if about.draw is not None or not about.ranks_teachers:
        return [line(metric, "it ranks no teachers")]
    rows = teachers.filter((pl.col("metric") == metric) & (pl.col("domain") == ALL_DOMAINS))
    if rows.is_empty():
        return [line(metric, f"no trace has a score: the {about.needs} pass was not possible for any")]
    direction = {"high": "higher is better", "low": "lower is better", None: "no direction, so no ranks"}[about.better]
    ranked = rows.filter(pl.col("mean").is_not_null()).sort("rank", "teacher")
    if ranked.is_empty():
        counts = ", ".join(f"{r['teacher']} {r['n_prompts']}" for r in rows.iter_rows(named=True))
        text = f"no two teachers have a score on the same prompt, so nothing can be compared (prompts: {counts})"
        return [line(metric, text)]
    complete = ranked["n_met"].min() == ranked["n_compared"][0] or ranked.height == 1
    lines = [line(metric, f"{direction}; {_basis(ranked, complete)}")]
    width = min(_MOST_WIDTH, max(len(name) for name in rows["teacher"]))
    for row in ranked.iter_rows(named=True):
        place = "-" if row["rank"] is None else row["rank"]
        prompts = "" if complete else f", met others on {count(row['n_met'], 'prompt')}"
        text = f"{place:>2} {row['teacher']:{width}} {row['mean']:10.4f} {_interval(row)}{_bounds(row)}{prompts}"
        lines.append(line("", text + _kept(row)))
    lines += [line("", f"   {name:{width}} not ranked: {why}") for name, why in incomparable(rows).items()]
    settled = ranked["settled_after"].first()
    if isinstance(settled, int) and ranked.height > 1:
        text = f"the order no longer changed after {count(settled, 'prompt')} (median of {ORDERS} orders)"
        lines.append(line("", text))
    return lines + [line("", text) for text in _comparisons(ranked)]


def _basis(ranked: pl.DataFrame, complete: bool) -> str:
    """What means and intervals rest on."""
    n = count(ranked["n_compared"][0], "prompt")
    if complete:
        return f"mean and 95 % interval on the {n} that all ranked teachers have"
    return f"mean, had all answered all, and 95 % interval, by the {n} on which at least two of them met"


def _comparisons(ranked: pl.DataFrame) -> list[str]:
    """Each ranked teacher against the next."""
    rows = ranked.filter(pl.col("rank").is_not_null()).to_dicts()
    pairs = [(one, other["teacher"]) for one, other in pairwise(rows)]
    return [
        comparison(one["teacher"], below, one["p_above_next"], one["n_with_next"], one["worth_next"])
        for one, below in pairs
        if one["p_above_next"] is not None
    ]


def comparison(above: str, below: str, p: float, n_met: int, worth: float) -> str:
    """Whether one teacher is above the one ranked next, which it is with probability `p`.

    They met on `n_met` prompts, and with what other teachers tell of them the comparison is worth `worth`.
    """
    few = worth < FEW_PROMPTS * (1 - 1e-9)
    probability = "more than .99" if p >= _CERTAIN else f"{p:.2f}".removeprefix("0")
    met = f" (they met on {count(n_met, 'prompt')}"
    through = f"; through others it is worth {worth:.0f}" if abs(worth - n_met) > 1e-6 else ""
    if p >= DISTINGUISHED and not few:
        return f"{above} is above {below} with probability {probability}" + (f"{met}{through})" if through else "")
    text = f"{above} and {below} are not distinguishable: {above} is above {below} with probability {probability}"
    if few:
        return f"{text}{met}{through}: with fewer than {FEW_PROMPTS} nothing is certain)"
    return text + (f"{met}{through})" if through else "")


def _bounds(row: dict[str, int | None]) -> str:
    """The ranks that a teacher could have, where they are more than one."""
    low, high = row["rank_low"], row["rank_high"]
    return "" if low is None or low == high else f", rank {low} to {high}"


def _kept(row: dict[str, float]) -> str:
    """How much of a teacher's work is judged, where it is not all of it."""
    return "" if row["share_kept"] == 1 else f", {row['share_kept']:.0%} of {count(int(row['n_traces']), 'trace')} kept"


def _interval(row: dict[str, float | None]) -> str:
    low, high = row["ci_low"], row["ci_high"]
    return "(no interval: it rests on 1 prompt)" if low is None else f"[{low:.4f}, {high:.4f}]"


def window_lines(step_scores: pl.DataFrame, traces: pl.DataFrame, window: int | float) -> list[str]:
    """How much of the response before it a step saw, over all and by teacher; nothing without a pass in windows.

    `step_scores` is the table of that name, `traces` has trace_id and teacher.
    """
    if step_scores["local_logprob"].null_count() == step_scores.height:
        return []
    overall, by_teacher = of_teachers([step_scores], traces, window)
    lines = [line("window", f"{window:g}: {overall.sentence()}")]
    if len(by_teacher) > 1:
        shares = ((name, "-" if s.share is None else f"{s.share:.0%}") for name, s in by_teacher.items())
        lines.append(line("", ", ".join(f"{name} {share}" for name, share in shares)))
    return lines


def read_line(label: str, counts: IngestCounts) -> str:
    """What ingest made of the sources."""
    rows, traces = count(counts.total.read, "row"), count(counts.total.kept, "trace")
    return line(label, f"{rows}, {traces} of {count(counts.prompts, 'prompt')}")
