"""The auditions of several bases side by side, as the tables of docs/log/EVIDENCE.md.

    python demo/evidence/summary.py FOLDER/base-0/auditions/*/ FOLDER/base-1/auditions/*/ FOLDER/base-2/auditions/*/

Each folder is one audition: plan.json and result.json. Means over bases are plain means; what spreads is shown beside.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

Result = dict[str, Any]


def accuracies(results: list[Result], arms: dict[str, Any], budget: str) -> list[str]:
    """Accuracy of each arm, mean over bases and each base's own (mean over seeds), best first; teachers apart."""
    lines = []
    for title, is_teacher in (("single teacher", True), ("selector or control", False)):
        rows = []
        for arm, about in arms.items():
            if (about["kind"] == "teacher") == is_teacher:
                each = [r["budgets"][budget]["accuracy"][arm]["value"] for r in results]
                tokens = about["response_tokens"] / about["examples"]
                rows.append((fmean(each), arm.removeprefix("only "), tokens, each))
        rows.sort(key=lambda row: (-row[0], row[1]))
        lines += [
            "",
            _row(title, "tokens a trace", "mean", *(f"base {i}" for i in range(len(results)))),
            _rule(3 + len(results)),
        ]
        lines += [_row(name, f"{tokens:.0f}", _share(mean), *map(_share, each)) for mean, name, tokens, each in rows]
    return lines


def extremes(results: list[Result], arms: dict[str, Any], budget: str) -> str:
    """How many single teachers lie on the floor (below .1) or at the ceiling (above .95), as means over bases."""
    means = [
        fmean(r["budgets"][budget]["accuracy"][arm]["value"] for r in results)
        for arm, about in arms.items()
        if about["kind"] == "teacher"
    ]
    low, high = sum(m < 0.1 for m in means), sum(m > 0.95 for m in means)
    return f"Of {len(means)} teachers {low} lie below .10 and {high} above .95."


def foresight(results: list[Result], budget: str) -> list[str]:
    """Rank correlation of each metric with what training on teachers gave, and the regret of its first pick."""
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        for found in result["budgets"][budget]["foresight"]:
            by_metric.setdefault(found["metric"], []).append(found)
    rows = [
        (fmean(f["rho"] for f in found), metric, found)
        for metric, found in by_metric.items()
        if len(found) == len(results) and all(f["rho"] is not None for f in found)
    ]
    rows.sort(key=lambda row: (-row[0], row[1]))
    n = len(results)
    lines = [
        "",
        _row("metric", "rho", *(f"base {i} (interval)" for i in range(n)), "regret, points", "first picks"),
        _rule(4 + n),
    ]
    for mean, metric, found in rows:
        each = [f"{f['rho']:+.2f} ({f['rho_interval'][0]:+.2f} to {f['rho_interval'][1]:+.2f})" for f in found]
        regrets = ", ".join(f"{100 * f['regret']:.1f}" for f in found)
        picks = ", ".join(dict.fromkeys(f["pick"] for f in found))
        lines.append(_row(metric, f"{mean:+.2f}", *each, regrets, picks))
    return lines


def settled(results: list[Result], budget: str) -> list[str]:
    """Every comparison that some base settled, with the difference in points in all of them; * where it is settled."""
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        for c in result["budgets"][budget]["comparisons"]:
            pairs.setdefault((c["arm"], c["other"]), []).append(c)
    lines = ["", _row("difference", *(f"base {i}" for i in range(len(results)))), _rule(1 + len(results))]
    for (arm, other), found in pairs.items():
        if any(c["settled"] for c in found):
            cells = [f"{100 * c['difference']['value']:+.1f}{'*' if c['settled'] else ''}" for c in found]
            lines.append(_row(f"{arm} - {other}", *cells))
    n_open = sum(not any(c["settled"] for c in found) for found in pairs.values())
    return [*lines, "", f"{n_open} of {len(pairs)} planned comparisons were settled by no base."]


def summary(results: list[Result], plans: list[dict[str, Any]]) -> str:
    """All tables of all budgets; `plans` are the contents of plan.json in the same order."""
    arms = plans[0]["arms"]
    lines = [
        f"Plans: {', '.join('`' + r['plan'][:12] + '`' for r in results)}. Untrained: "
        f"{', '.join(_share(r['untrained']) for r in results)}."
    ]
    for budget in plans[0]["budgets"]:
        lines += ["", f"## Equal {budget}", "", extremes(results, arms, budget)]
        lines += accuracies(results, arms, budget) + foresight(results, budget) + settled(results, budget)
        for i, result in enumerate(results):
            lines += ["", f"Verdict on base {i}:", ""]
            lines += [f"- {sentence}" for sentence in result["budgets"][budget]["verdict"]]
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(n: int) -> str:
    return "|---" * n + "|"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def main() -> int:
    """Prints the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description="Tables of several auditions side by side.")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="one audition of each base")
    arguments = parser.parse_args()

    def read(name: str) -> list[dict[str, Any]]:
        return [json.loads((folder / name).read_text(encoding="utf-8")) for folder in arguments.folders]

    print(summary(read("result.json"), read("plan.json")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
