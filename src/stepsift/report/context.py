"""What the page says in words and tables: the headline, the limits, hashes and versions."""

from typing import Any

import polars as pl

from stepsift import __version__
from stepsift.core import tables
from stepsift.core.text import count
from stepsift.metrics import all_metrics
from stepsift.report import numbers
from stepsift.report.figures import selectors_first
from stepsift.report.flow import draw_flow
from stepsift.report.outputs import Outputs
from stepsift.select.manifest import SelectionCounts
from stepsift.select.ranking import ALL_DOMAINS, FEW_PROMPTS, incomparable

MOST_ROWS = 200
"""Rows of a table with one row per teacher, student or source; the page says how many more there are."""
_MOST_NAMES = 8
"""Teachers that a sentence names."""


def page_context(outputs: Outputs) -> dict[str, Any]:
    """Everything that the template shows beside the figures."""
    counts = next((m["counts"] for m in outputs.manifests.values()), None)
    overall = outputs.teachers.filter(pl.col("domain") == ALL_DOMAINS).sort("rank", "mean", "teacher", nulls_last=True)
    teachers = {m: part.head(MOST_ROWS).to_dicts() for (m,), part in overall.group_by("metric", maintain_order=True)}
    ingest = outputs.ingest
    return {
        "version": __version__,
        "student": next((m["student"] for m in outputs.manifests.values()), {}),
        "n": {
            "files": len(outputs.sources),
            "read": ingest["total"]["read"],
            "kept": ingest["total"]["kept"],
            "prompts": ingest["prompts"],
            "teachers": sum(1 for t in ingest["by_teacher"].values() if t["kept"]),
            "candidates": counts["candidates"] if counts else 0,
            "steps": outputs.step_lengths.n,
        },
        "sets": _sets(outputs),
        "teachers": {m: teachers[m] for m in selectors_first(outputs, teachers)},
        "directions": {m: all_metrics()[m].better for m in teachers},
        "tasks": {
            t: p.head(MOST_ROWS).to_dicts() for (t,), p in outputs.evaluations.group_by("task", maintain_order=True)
        },
        "most_rows": MOST_ROWS,
        "n_students": outputs.evaluations["model"].n_unique(),
        "best": headline(outputs.evaluations, outputs.curated),
        "correlations": _correlations(outputs),
        "rejected": outputs.rejected.to_dicts(),
        "verdicts": outputs.verdicts,
        "flow": _flow(outputs, counts),
        "hashes": _hashes(outputs),
        "numerics": outputs.numerics,
        "window_share": outputs.window_share,
        "learned": {
            name: part.to_dicts() for (name,), part in outputs.learned_most.group_by("selector", maintain_order=True)
        },
        "limits": _limits(outputs),
    }


def _sets(outputs: Outputs) -> dict[str, dict[str, Any]]:
    """Selector to what it chose: metric, counts, mean tokens, margin and stability, and traces by teacher."""
    tokens = outputs.scores.select("trace_id", "n_tokens")
    sets = {}
    for name, manifest in outputs.manifests.items():
        examples = outputs.curated[name].join(tokens, on="trace_id", how="left")
        teachers = examples["teacher"].value_counts(name="n").sort(["n", "teacher"], descending=[True, False])
        sets[name] = {
            "by": manifest["selector"]["by"],
            "chosen": examples.height,
            "prompts": examples["prompt_id"].n_unique(),
            "tokens": examples["n_tokens"].mean(),
            "margin": examples["margin"].mean(),
            "stability": examples["stability"].mean(),
            "teachers": list(teachers.iter_rows()),
        }
    return sets


def headline(evaluations: pl.DataFrame, curated: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """For each task the best selector and the next (`best`, `second`), and the untrained student; None where missing.

    A selector's accuracy is the mean over its seeds, its standard error the mean of theirs: seeds answer the same
    questions, so more of them make it no smaller. `apart`: whether the two differ by more than 1.96 standard errors of
    the difference, taken as if the questions were other ones, which is on the safe side. `same`: the share of traces
    that both curated sets hold. Both are None where there is no second, or no standard error.
    """
    entries = []
    for (task,), part in evaluations.group_by("task", maintain_order=True):
        means = part.group_by("selector").agg(
            pl.col("accuracy").mean(), pl.col("stderr").mean(), pl.col("n").max(), pl.len().alias("seeds")
        )
        trained = means.filter(pl.col("selector").is_not_null()).sort(
            ["accuracy", "selector"], descending=[True, False]
        )
        if trained.is_empty():
            continue
        best, second = (trained.row(i, named=True) if trained.height > i else None for i in (0, 1))
        untrained = means.filter(pl.col("selector").is_null())
        entry = {"task": task, "best": best, "second": second, "apart": None, "same": None}
        entry["untrained"] = untrained.row(0, named=True) if untrained.height else None
        if best is not None and second is not None:
            if best["stderr"] is not None and second["stderr"] is not None:
                spread = 1.96 * (best["stderr"] ** 2 + second["stderr"] ** 2) ** 0.5
                entry["apart"] = best["accuracy"] - second["accuracy"] > spread
            one, other = (set(curated[s["selector"]]["trace_id"]) for s in (best, second))
            entry["same"] = len(one & other) / max(1, len(one), len(other))
        entries.append(entry)
    return entries


def _correlations(outputs: Outputs) -> list[dict[str, Any]]:
    scores = outputs.scores
    names = [m for m in all_metrics() if m in scores.columns and all_metrics()[m].draw is None]
    some = [m for m in names if scores[m].null_count() < scores.height]
    return numbers.correlations(scores, selectors_first(outputs, some)).to_dicts()


def _flow(outputs: Outputs, counts: SelectionCounts | None) -> Any:
    if counts is None:
        return None
    shown = {
        "prompts": outputs.ingest["prompts"],
        "traces": counts["traces"],
        "not scored": counts["traces"] - counts["scored"],
        "scored": counts["scored"],
        "dropped": counts["scored"] - counts["candidates"],
        "candidates": counts["candidates"],
    }
    sets = {
        name: {
            "chosen": m["counts"]["chosen"],
            "files": {f: e["rows"] for f, e in m["files"].items() if f != tables.CURATED.file and "rows" in e},
        }
        for name, m in outputs.manifests.items()
    }
    return draw_flow(outputs.sources, shown, sets)


def _hashes(outputs: Outputs) -> list[tuple[str, str]]:
    """What the page rests on, and its hash."""
    first = next(iter(outputs.manifests.values()), None)
    rows = [(f"source {name} (md5)", s["md5"]) for name, s in list(outputs.sources.items())[:MOST_ROWS]]
    if (more := len(outputs.sources) - MOST_ROWS) > 0:
        rows.append((count(more, "more source"), "in sources.json of stage ingest"))
    if first is not None:
        rows += [(f"table {name} (md5)", md5) for name, md5 in first["inputs"]["tables"].items()]
        rows.append(("student (fingerprint)", outputs.numerics["student"]))
        rows.append(("code of select (SHA-256)", first["code"]))
    for name, m in outputs.manifests.items():
        rows.append((f"curated set {name} (fingerprint)", m["fingerprint"]))
        rows += [(f"{name}/{file} (md5)", e["md5"]) for file, e in m["files"].items()]
    return rows


def _limits(outputs: Outputs) -> list[str]:
    """Sentences about this run: what its numbers cannot say."""
    limits = [
        "A score says how natural a trace is to this student, not whether it is right or good to learn from.",
    ]
    total = sum(outputs.verdicts.values())
    unchecked = total - outputs.verdicts.get("correct", 0) - outputs.verdicts.get("wrong", 0)
    if total and unchecked:
        limits.append(
            f"{unchecked:,} of {count(total, 'trace')} ({unchecked / total:.0%}) "
            f"{'has no verdict on its' if unchecked == 1 else 'have no verdict on their'} answer."
        )
    seeds = outputs.evaluations.filter(pl.col("seed").is_not_null())["seed"].n_unique()
    if outputs.evaluations.is_empty():
        limits.append("No student was evaluated: nothing here is measured by training.")
    elif seeds == 1:
        limits.append("Each student was trained with one seed: what another seed would change is not in any interval.")
    for (task,), part in outputs.evaluations.group_by("task", maintain_order=True):
        n, worst = max(part["n"]), max((e for e in part["stderr"] if e is not None), default=None)
        if worst == 0:
            limits.append(
                f"On {task}, {count(n, 'question')}: each student answered all of them right or all of them wrong, so "
                "that its interval has no width; that does not mean that chance has no part in it."
            )
        elif worst is not None:
            points = max(1, round(100 * 2.8 * worst))
            limits.append(
                f"On {task}, {count(n, 'question')}: two students that differ by less than about "
                f"{count(points, 'point')} may differ by chance."
            )
    if outputs.window_share["close_to_step_mean"]:
        share = outputs.window_share["share"]
        limits.append(
            f"A step sees {share:.0%} of the response before it, so that lalp is close to step_mean, which has no "
            "window: a smaller score.window, or a share of the steps before (0.25), would tell the two apart."
        )
    limits += _limits_of_ranking(outputs)
    limits.append("Two metrics that choose the same traces cannot be compared by training on them.")
    return limits


def _limits_of_ranking(outputs: Outputs) -> list[str]:
    """What the ranking by the first selector's metric rests on, and who is not in it."""
    overall = outputs.teachers.filter(pl.col("domain") == ALL_DOMAINS)
    first = overall.filter(pl.col("metric") == next(iter(selectors_first(outputs, overall["metric"].unique())), ""))
    ranked = first.filter(pl.col("rank").is_not_null())
    sentences = []
    n, most = ranked["n_compared"].max(), outputs.ingest["prompts"]
    if isinstance(n, int) and n < most:
        sentences.append(
            f"Teachers are compared on {n:,} of {count(most, 'prompt')}: those for which at least two have a candidate."
        )
    if ranked.height and ranked["n_met"].min() != n and ranked.height > 1:
        sentences.append(
            "Not every teacher answered every prompt: means are what they would be if all had, as far as a prompt is "
            "as hard for one as for another."
        )
    few = ranked.filter(pl.col("worth_next") < FEW_PROMPTS * (1 - 1e-9))["teacher"].to_list()
    if few:
        sentences.append(
            f"The comparison of {_names(few)} with the next in rank is worth fewer than {FEW_PROMPTS} prompts: nothing "
            "about it is certain."
        )
    left_out = incomparable(first)
    sentences += [f"{name} is not ranked: {why}." for name, why in list(left_out.items())[:_MOST_NAMES]]
    if (more := len(left_out) - _MOST_NAMES) > 0:
        sentences.append(
            f"{count(more, 'more teacher')} {'is' if more == 1 else 'are'} not ranked; table teachers has them."
        )
    return sentences


def _names(teachers: list[str]) -> str:
    more = f" and {len(teachers) - _MOST_NAMES} more" if len(teachers) > _MOST_NAMES else ""
    return ", ".join(teachers[:_MOST_NAMES]) + more
