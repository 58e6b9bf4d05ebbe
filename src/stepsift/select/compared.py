"""Which teachers were compared by a selector's metric, and which could not be: in its manifest and on its card."""

from typing import TypedDict

import polars as pl

from stepsift.core.text import count, markdown_cell, markdown_code
from stepsift.metrics import Metric
from stepsift.select.ranking import ALL_DOMAINS, FEW_PROMPTS, apart, why_incomparable


class ComparedTeacher(TypedDict):
    """A ranked teacher; as in table teachers."""

    teacher: str
    rank: int
    mean: float
    ci_low: float | None
    ci_high: float | None
    n_prompts: int
    n_met: int
    p_above_next: float | None
    n_with_next: int | None
    worth_next: float | None


class Apart(TypedDict):
    """A teacher that is connected with no ranked one."""

    teacher: str
    n_prompts: int
    met: list[str]
    """Whom it met on its prompts, or is connected with through others."""


class ComparedTeachers(TypedDict):
    """The ranking by one metric, over all domains."""

    metric: str
    better: str
    n_compared: int
    """Prompts for which at least two of the ranked teachers have a candidate."""
    ranked: list[ComparedTeacher]
    """By rank; none where no two teachers met."""
    incomparable: list[Apart]
    """By name."""


def compared_teachers(teachers: pl.DataFrame, metric: Metric) -> ComparedTeachers | None:
    """The ranking in table `teachers` by a metric; None where it ranks no teachers."""
    rows = teachers.filter(pl.col("metric") == metric.name, pl.col("domain") == ALL_DOMAINS)
    if not rows.height or metric.better is None:
        return None
    ranked = rows.filter(pl.col("rank").is_not_null()).sort("rank")
    left_out = apart(rows)
    if not ranked.height:
        # The first of many that met nobody is as incomparable as they are.
        left_out |= {t: (n, []) for t, n, met in rows.select("teacher", "n_prompts", "n_met").rows() if not met}
    return ComparedTeachers(
        metric=metric.name,
        better=metric.better,
        n_compared=ranked["n_compared"].max() or 0,  # type: ignore[typeddict-item]
        ranked=ranked.select(*ComparedTeacher.__annotations__).to_dicts(),  # type: ignore[typeddict-item]
        incomparable=[Apart(teacher=t, n_prompts=n, met=met) for t, (n, met) in sorted(left_out.items())],
    )


def compared_section(compared: ComparedTeachers | None, selected_by: str) -> str:
    """Markdown for the card: the ranking as a table, who is missing in it and why."""
    if compared is None:
        return f"`{selected_by}` ranks no teachers: it says nothing of who wrote a trace."
    ranked, metric = compared["ranked"], f"`{compared['metric']}`"
    if len(ranked) < 2:
        lines = [f"No teachers were compared by {metric}: no two of them have a candidate for the same prompt."]
    else:
        prompts = count(compared["n_compared"], "prompt")
        lines = [
            f"By {metric} ({compared['better']} is better), on {prompts} for which at least two of these teachers have "
            "a candidate. A mean is what it would be if each had answered all of them.",
            "",
            "| rank | teacher | mean | 95 % interval | prompts | above the next |",
            "|---|---|---|---|---|---|",
            *map(_row, ranked),
        ]
    if compared["incomparable"]:
        lines += ["", "Not compared:", ""]
        lines += map(_why, compared["incomparable"])
    return "\n".join(lines)


def _row(teacher: ComparedTeacher) -> str:
    low, high, above = teacher["ci_low"], teacher["ci_high"], teacher["p_above_next"]
    interval = "unknown" if low is None or high is None else f"{low:.4f} to {high:.4f}"
    few = (teacher["worth_next"] or FEW_PROMPTS) < FEW_PROMPTS * (1 - 1e-9)
    met = f", who met it on {count(teacher['n_with_next'] or 0, 'prompt')}" + ", few" * few
    p_above = "" if above is None else f"{above:.2f}{met}"
    cells = (teacher["rank"], markdown_cell(teacher["teacher"]), f"{teacher['mean']:.4f}", interval)
    return "| " + " | ".join(map(str, (*cells, teacher["n_prompts"], p_above))) + " |"


def _why(teacher: Apart) -> str:
    why = why_incomparable(teacher["n_prompts"], [markdown_code(name) for name in teacher["met"]])
    return f"- {markdown_code(teacher['teacher'])}: {why}"
