"""Is a demo's world one in which metrics can differ? Preconditions, fixed before any metric's worth is looked at.

    python demo/precondition.py data/ingest/traces.parquet data/score/step_scores.parquet --audition auditions/PLAN

The first table has the mean log-probability a token by position: what a windowed score corrects for must be there
before the two can differ. The second has each precondition with its threshold, what was measured, and whether it holds.
Steps must have been scored in both passes with a window of 4. Exit code: 0 where all preconditions hold, 1 where one
does not, 3 where none fails but some could not be measured, because no audition was given.

Nothing here knows which metric chooses better, and no threshold depends on it.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.report.numbers import AlongTraces
from stepsift.score.window_share import of_teachers

WINDOW = 4
"""Steps before it that a step sees."""
STEPS = (12, 40)
SHARE_OF_TRACES = 0.9
"""A teacher writes traces of 12 to 40 steps where this share of its traces has so many."""
LEAST_TEACHERS_IN_STEPS = 2 / 3
MOST_WINDOW_SHARE = 1 / 3
LEAST_RISE = 0.3
"""Nats per token from the first third of a trace to its last, in the whole context."""
MOST_RISE_IN_WINDOWS = 0.1
"""Nats per token: up to here log-probability does not rise."""
LEAST_TEACHERS_RISING = 1 / 3
SAME_AS_GALP = (0.3, 0.8)
MOST_SAME_AS_STEP_MEAN = 0.9
ACCURACIES = (0.1, 0.95)
MOST_AT_AN_END = 0.25
LEAST_RANGE = 0.4
"""Between the worst and the best single teacher: what "spread over .1 to .95" must come to at least."""
LEAST_OF_RANDOM = 0.05

PARTS = 10
SHOWN = (1, 2, 4, 6, 8, 10)
"""Parts of which the table has a column."""


@dataclass(frozen=True)
class Precondition:
    """`holds` is None where it could not be measured."""

    name: str
    threshold: str
    measured: str
    holds: bool | None


def by_position(steps: pl.DataFrame, traces: pl.DataFrame, parts: int = PARTS) -> pl.DataFrame:
    """Mean log-probability a token (nats) of each teacher in each part of its traces.

    `steps` has the columns of tables.STEP_SCORES, `traces` has trace_id and teacher. A step counts where its middle
    token lies, with as much weight as it has tokens; traces without a full score are left out. Columns: teacher, part
    (1 to `parts`), n_tokens, full, windowed.
    """
    along = AlongTraces(traces, parts)
    along.add(steps)
    return along.means()


def table(positions: pl.DataFrame, lengths: dict[str, float], shown: tuple[int, ...] = SHOWN) -> str:
    """A Markdown table, shortest teacher first; `lengths` has the mean tokens of each teacher's traces."""
    lines = [
        "| teacher (tokens) | context | " + " | ".join(f"part {part}" for part in shown) + " |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for teacher in sorted(lengths, key=lambda name: (lengths[name], name)):
        of_teacher = positions.filter(pl.col("teacher") == teacher)
        for name in ("full", "windowed"):
            values = dict(zip(of_teacher["part"], of_teacher[name], strict=True))
            cells = [f"{values[part]:.2f}" if part in values else "" for part in shown]
            lines.append(f"| {teacher} ({lengths[teacher]:.0f}) | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def of_scores(steps: pl.DataFrame, traces: pl.DataFrame) -> list[Precondition]:
    """What traces and their scores decide; `steps` and `traces` (with prompt_id and verdict) as for `by_position`."""
    return [_lengths(steps, traces), _window_share(steps, traces), _rises(steps, traces), *_choices(steps, traces)]


def of_audition(result: dict[str, Any], plan: dict[str, Any]) -> list[Precondition]:
    """What training on single teachers and at random decides; the contents of result.json and plan.json."""
    found: list[Precondition] = []
    teachers = [arm for arm, about in plan["arms"].items() if about["kind"] == "teacher"]
    for budget, values in result["budgets"].items():
        accuracies = [values["accuracy"][arm]["value"] for arm in teachers]
        found += list(_accuracies(budget, accuracies, values["accuracy"].get("random", {}).get("value")))
    return found


def page(preconditions: list[Precondition]) -> str:
    """A Markdown table."""
    said = {True: "yes", False: "**no**", None: "not measured"}
    rows = [f"| {p.name} | {p.threshold} | {p.measured} | {said[p.holds]} |" for p in preconditions]
    return "\n".join(["| precondition | threshold | measured | holds |", "|---|---|---|---|", *rows])


def exit_code(preconditions: list[Precondition]) -> int:
    """0: all hold; 1: one does not; 3: none fails, some could not be measured."""
    holds = [p.holds for p in preconditions]
    return 1 if False in holds else 3 if None in holds else 0


def _lengths(steps: pl.DataFrame, traces: pl.DataFrame) -> Precondition:
    low, high = STEPS
    by_teacher = (
        steps.group_by("trace_id")
        .len()
        .join(traces.select("trace_id", "teacher"), on="trace_id")
        .group_by("teacher")
        .agg(share=pl.col("len").is_between(low, high).mean())
    )
    inside = (by_teacher["share"] >= SHARE_OF_TRACES).sum()
    return Precondition(
        f"teachers of whose traces {SHARE_OF_TRACES:.0%} have {low} to {high} steps",
        f"at least {LEAST_TEACHERS_IN_STEPS:.0%}",
        f"{inside} of {by_teacher.height}",
        inside >= LEAST_TEACHERS_IN_STEPS * by_teacher.height,
    )


def _window_share(steps: pl.DataFrame, traces: pl.DataFrame) -> Precondition:
    overall, _ = of_teachers([steps], traces, WINDOW)
    share = 1.0 if overall.share is None else overall.share
    return Precondition(
        f"tokens before it that a step sees in a window of {WINDOW}",
        f"at most {MOST_WINDOW_SHARE:.0%}",
        f"{share:.1%}",
        share <= MOST_WINDOW_SHARE,
    )


def _rises(steps: pl.DataFrame, traces: pl.DataFrame) -> Precondition:
    thirds = by_position(steps, traces, parts=3)
    first, last = (thirds.filter(pl.col("part") == part) for part in (1, 3))
    rises = first.join(last, on="teacher", suffix="_last").select(
        "teacher", full=pl.col("full_last") - pl.col("full"), windowed=pl.col("windowed_last") - pl.col("windowed")
    )
    rising = rises.filter((pl.col("full") >= LEAST_RISE) & (pl.col("windowed") <= MOST_RISE_IN_WINDOWS))
    n_teachers = traces["teacher"].n_unique()
    names = ", ".join(f"{t} {full:+.2f}, {w:+.2f}" for t, full, w in rising.sort("teacher").iter_rows())
    return Precondition(
        f"teachers whose log-probability rises by {LEAST_RISE} nats or more in the whole context and by at most "
        f"{MOST_RISE_IN_WINDOWS} in windows",
        f"at least {LEAST_TEACHERS_RISING:.0%}",
        f"{rising.height} of {n_teachers}" + (f" ({names})" if names else ""),
        rising.height >= LEAST_TEACHERS_RISING * n_teachers,
    )


def _choices(steps: pl.DataFrame, traces: pl.DataFrame) -> Iterator[Precondition]:
    """Of each prompt's right traces (all, where none is right) the best by each metric; no filter is applied."""
    n = pl.col("n_tokens")
    scores = (
        steps.filter(n > 0)
        .group_by("trace_id")
        .agg(
            lalp=(pl.col("local_logprob") / n).mean(),
            step_mean=(pl.col("full_logprob") / n).mean(),
            galp=pl.col("full_logprob").sum() / n.sum(),
            scored=pl.col("local_logprob").is_not_null().all() & pl.col("full_logprob").is_not_null().all(),
        )
        .filter("scored")
        .join(traces.select("trace_id", "prompt_id", "verdict"), on="trace_id")
        .with_columns(right=pl.col("verdict") == "correct")
        .filter(pl.col("right") | ~pl.col("right").any().over("prompt_id"))
        .sort("trace_id")
    )
    chosen = scores.group_by("prompt_id").agg(
        pl.col("trace_id").get(pl.col(metric).arg_max()).alias(metric) for metric in ("lalp", "step_mean", "galp")
    )
    as_galp, as_step_mean = (
        (chosen["lalp"] == chosen[name]).sum() / max(1, chosen.height) for name in ("galp", "step_mean")
    )
    low, high = SAME_AS_GALP
    yield Precondition(
        "prompts for which lalp and galp choose the same trace",
        f"{low:.0%} to {high:.0%}",
        f"{as_galp:.1%} of {chosen.height}",
        low <= as_galp <= high,
    )
    yield Precondition(
        "prompts for which lalp and step_mean do",
        f"at most {MOST_SAME_AS_STEP_MEAN:.0%}",
        f"{as_step_mean:.1%}",
        as_step_mean <= MOST_SAME_AS_STEP_MEAN,
    )


def _accuracies(budget: str, teachers: list[float], random: float | None) -> Iterator[Precondition]:
    low, high = ACCURACIES
    below, above = sum(a < low for a in teachers), sum(a > high for a in teachers)
    most = MOST_AT_AN_END * len(teachers)
    yield Precondition(
        f"single teachers that train to less than {low}, to more than {high} ({budget})",
        f"at most {MOST_AT_AN_END:.0%} each",
        f"{below} and {above} of {len(teachers)}",
        below <= most and above <= most if teachers else None,
    )
    yield Precondition(
        f"from the worst single teacher to the best ({budget})",
        f"at least {LEAST_RANGE}",
        f"{min(teachers):.3f} to {max(teachers):.3f}" if teachers else "",
        max(teachers) - min(teachers) >= LEAST_RANGE if teachers else None,
    )
    yield Precondition(
        f"accuracy after training on a random choice ({budget})",
        f"above {LEAST_OF_RANDOM}",
        "" if random is None else f"{random:.3f}",
        None if random is None else random > LEAST_OF_RANDOM,
    )


def main() -> int:
    """Prints both tables; returns the exit code."""
    parser = argparse.ArgumentParser(description="Preconditions of a demo's world, each with whether it holds.")
    parser.add_argument("traces", type=Path, help="data/ingest/traces.parquet")
    parser.add_argument("step_scores", type=Path, help="data/score/step_scores.parquet, both passes, window 4")
    parser.add_argument("--audition", type=Path, help="folder with plan.json and result.json")
    arguments = parser.parse_args()
    traces, steps = pl.read_parquet(arguments.traces), pl.read_parquet(arguments.step_scores)
    of_trace = steps.group_by("trace_id").agg(pl.col("n_tokens").sum()).join(traces, on="trace_id")
    lengths = dict(of_trace.group_by("teacher").agg(pl.col("n_tokens").mean()).iter_rows())
    print(table(by_position(steps, traces), lengths) + "\n")
    preconditions = of_scores(steps, traces)
    if arguments.audition is None:
        preconditions += _accuracies("no audition given", [], None)
    else:
        result, plan = (
            json.loads((arguments.audition / name).read_text(encoding="utf-8")) for name in ("result.json", "plan.json")
        )
        preconditions += of_audition(result, plan)
    print(page(preconditions))
    return exit_code(preconditions)


if __name__ == "__main__":
    sys.exit(main())
