"""The page's figures: each has a name, what it shows in a sentence, and one chart or several to choose from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from stepsift.core.text import count
from stepsift.metrics import all_metrics
from stepsift.report import charts, numbers
from stepsift.report.outputs import Outputs
from stepsift.select.ranking import ALL_DOMAINS

_MOST_TEACHERS = 40
"""Teachers that the chart of a ranking shows, the best ones."""
_MOST_STUDENTS = 24
"""Curves and accuracies that a chart shows; the tables have all."""
_MOST_LINES = 12
"""Teachers of a chart with a line for each."""
SCORES, TRAINING = "From scores alone", "Measured by training"


@dataclass(frozen=True)
class Figure:
    """`claim` says what the numbers rest on, SCORES or TRAINING, or is empty for counts.

    `charts` maps what a reader can choose (a metric, a task) to a Vega-Lite specification; the first is shown.
    """

    name: str
    title: str
    note: str
    claim: str
    charts: dict[str, charts.Spec]


def all_figures(outputs: Outputs) -> dict[str, Figure]:
    """All figures that have something to show, by name."""
    made = (
        _ranking(outputs),
        _meetings(outputs),
        _accuracy(outputs),
        _distribution(outputs),
        _agreement(outputs),
        _trace_lengths(outputs),
        _step_lengths(outputs),
        _along(outputs),
        _composition(outputs),
        _rejected(outputs),
        _curves(outputs),
        _learned(outputs),
    )
    return {f.name: f for f in made if f.charts}


def selectors_first(outputs: Outputs, names: Iterable[str]) -> list[str]:
    """Metrics, those of the selectors first and in their order, the others by name."""
    known = set(names)
    own = [by for by in dict.fromkeys(outputs.by.values()) if by in known]
    return own + sorted(known - set(own))


def _of_selectors(outputs: Outputs) -> list[str]:
    """The selectors' metrics that score a trace, in their order; draws do not."""
    return [m for m in dict.fromkeys(outputs.by.values()) if all_metrics()[m].draw is None]


def _ranking(outputs: Outputs) -> Figure:
    overall = outputs.teachers.filter(pl.col("domain") == ALL_DOMAINS)
    ranked = overall.filter(pl.col("rank").is_not_null())
    best = overall.sort("rank", nulls_last=True, maintain_order=True)
    shown = {
        m: charts.ranking(best.filter(pl.col("metric") == m).head(_MOST_TEACHERS), m, all_metrics()[m].better or "")
        for m in selectors_first(outputs, ranked["metric"].unique())
    }
    note = (
        "What a teacher's mean would be had all answered every prompt on which two of them met, with a 95 % interval "
        "over prompts. Teachers whose possible ranks overlap are not distinguishable on this pool."
    )
    if (n := ranked["teacher"].n_unique()) > _MOST_TEACHERS:
        note += f" The {_MOST_TEACHERS} best of {n} are shown."
    return Figure("ranking", "Teachers", note, SCORES, shown)


def _meetings(outputs: Outputs) -> Figure:
    overall = outputs.teachers.filter(pl.col("domain") == ALL_DOMAINS)
    metric = next(iter(selectors_first(outputs, overall["metric"].unique())), None)
    shown: dict[str, charts.Spec] = {}
    if metric is not None:
        pairs = numbers.meetings(candidates(outputs), metric)
        names = overall.filter(pl.col("metric") == metric).sort("rank", "teacher", nulls_last=True)["teacher"]
        order = [name for name in names if name in set(pairs["one"])]
        shown = {"": charts.meetings(pairs, order)} if len(order) > 1 else {}
    note = (
        "On how many prompts two teachers both have a candidate; on the diagonal, how many a teacher has. Only "
        "teachers that such prompts connect are compared."
    )
    return Figure("meetings", "On how many prompts teachers met", note, "", shown)


def candidates(outputs: Outputs) -> pl.DataFrame:
    """Scores of the traces that selectors could choose."""
    return outputs.scores.join(outputs.dropped, on="trace_id", how="anti")


def _accuracy(outputs: Outputs) -> Figure:
    tasks = dict.fromkeys(str(p["of"]) for p in outputs.accuracies)
    shown = {t: charts.accuracy([p for p in outputs.accuracies if p["of"] == t][:_MOST_STUDENTS]) for t in tasks}
    note = (
        "Share of questions that each trained student answers right, and the untrained one beside them, with a 95 % "
        "interval over questions. Intervals do not hold what another seed of training would change."
    )
    if any(sum(p["of"] == t for p in outputs.accuracies) > _MOST_STUDENTS for t in tasks):
        note += f" The {_MOST_STUDENTS} best students are shown."
    return Figure("accuracy", "Accuracy after training", note, TRAINING, shown)


def _distribution(outputs: Outputs) -> Figure:
    metrics = _of_selectors(outputs)
    frames = numbers.distributions(outputs.scores, outputs.domains, metrics)
    shown = {m: charts.distribution(f, m) for m, f in frames.items() if f.height}
    note = (
        "Scores of all scored traces: 5th to 95th percentile as a line, the middle half as a bar, the median as a mark."
    )
    return Figure("distribution", "Scores by teacher and domain", note, SCORES, shown)


def _agreement(outputs: Outputs) -> Figure:
    order = selectors_first(outputs, [m for m in all_metrics() if m in outputs.scores.columns])
    pairs = numbers.agreement(candidates(outputs), [all_metrics()[m] for m in order])
    there = [m for m in order if m in set(pairs["one"])]
    note = (
        "On how many of the prompts two metrics like the same candidate best; the rest would get another trace. "
        "The trace explorer shows prompts on which the selectors disagree."
    )
    return Figure(
        "agreement",
        "Do the metrics agree?",
        note,
        SCORES,
        {"": charts.agreement(pairs, there)} if len(there) > 1 else {},
    )


def _trace_lengths(outputs: Outputs) -> Figure:
    metrics = _of_selectors(outputs)
    frames = {m: numbers.trace_lengths(outputs.scores, m) for m in metrics}
    shown = {m: charts.lengths(f, "trace", m) for m, f in frames.items() if f.height}
    note = (
        "Length is the best known confounder of likelihood: where colour runs along a slope, the metric prefers a "
        "length, whatever stands in the trace. The correlations are in the table."
    )
    return Figure("trace-lengths", "Score against length of the trace", note, SCORES, shown)


def _step_lengths(outputs: Outputs) -> Figure:
    shares = outputs.step_lengths.shares()
    r = outputs.step_lengths.correlation
    shown = "not defined" if r is None else f"{r:+.2f}"
    note = (
        f"Mean log-probability of a step in its window, {count(outputs.step_lengths.n, 'step')}. Correlation with the "
        f"logarithm of the step's tokens (Pearson): {shown}. The lowest row holds all that is lower."
    )
    spec = charts.lengths(shares, "step", "nats per token, in the window")
    return Figure("step-lengths", "Score against length of the step", note, SCORES, {"": spec} if shares.height else {})


def _along(outputs: Outputs) -> Figure:
    means = outputs.along.means()
    traces = outputs.scores.filter(pl.col("teacher").is_in(means["teacher"].implode()))["teacher"]
    names = numbers.few(traces, numbers.MOST_NAMES)
    lines = means.filter(pl.col("teacher").is_in(names[:_MOST_LINES]))
    shown = {n: charts.along(means.filter(pl.col("teacher") == n)) for n in sorted(names)}
    if len(names) > 1:
        shown = {"what far context adds": charts.gained_from_afar(lines)} | shown
    note = (
        "Log-probability of a token by where its step lies. Late text that is probable in the whole context alone can "
        "be copied from further back than a window reaches: it raises galp and not lalp."
    )
    if len(names) > _MOST_LINES:
        note += f" What far context adds is shown of the {_MOST_LINES} teachers with most traces."
    return Figure("along", "Log-probability along a trace", note, SCORES, shown)


def _composition(outputs: Outputs) -> Figure:
    counts = numbers.composition(outputs.curated, outputs.domains)
    several = [by for by in ("teacher", "domain") if by == "teacher" or counts[by].n_unique() > 1]
    shown = {f"by {by}": charts.composition(counts, by, list(outputs.curated)) for by in several if counts.height}
    return Figure("composition", "What the curated sets are made of", "What each selector chose.", "", shown)


def _rejected(outputs: Outputs) -> Figure:
    spec = charts.rejections(outputs.rejected) if outputs.rejected.height else None
    note = "Every dropped row is kept with its reason, in the tables rejected of each stage."
    return Figure("rejected", "Dropped rows by stage and reason", note, "", {"": spec} if spec else {})


def _curves(outputs: Outputs) -> Figure:
    students: dict[str, list[dict[str, Any]]] = {}
    for point in outputs.curves:
        students.setdefault(str(point["student"]), []).append(point)
    kept = list(students.values())[:_MOST_STUDENTS]
    points = [p for of in kept for p in of]
    note = (
        "Loss on the examples of training. A lower loss does not make a better student: easy traces are learnt faster."
    )
    if len(students) > len(kept):
        note += f" {len(kept)} of {count(len(students), 'student')} are shown."
    return Figure("curves", "Training", note, TRAINING, {"": charts.curves(points)} if points else {})


def _learned(outputs: Outputs) -> Figure:
    means = numbers.learned_curves(outputs.learned)
    names = [n for n in outputs.by if n in set(means["selector"])]
    shown = {name: charts.learned(means.filter(pl.col("selector") == name)) for name in names}
    note = (
        "What the student of the lowest seed says of the steps of its own curated traces, before and after training on "
        "them, by where a step lies in its trace. It learned these traces by training on them: this is no test."
    )
    return Figure("learned", "Which steps were learned?", note, TRAINING, shown)
