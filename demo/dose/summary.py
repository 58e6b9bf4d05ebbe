"""What demo/dose/run.sh and choices.py gave so far: tables and a picture.

    python demo/dose/summary.py FOLDER [--picture dose.png]

Accuracies are means over seeds. Of a selector, `at k` is its choice with a window of k steps instead of one.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

WINDOW, TOKENS, TEACHERS = "window-1", "tokens", "teachers"
"""Auditions of run.sh: of metrics with a window of one step, with equal examples and with equal tokens, and of teachers
alone; others are of lalp's choice."""
SHOWN = ("lalp at 1", "lalp at 2", "galp", "step_mean")
"""What the picture has lines for."""
ONLY = "only "
"""Before a teacher's name, the arm that is trained on that teacher alone."""


@dataclass(frozen=True)
class Point:
    """Accuracy (0 to 1), with a 95 % interval over questions, after training a base on what `arm` chose; `tokens` of a
    trace, mean."""

    base: str
    arm: str
    tokens: float
    value: float
    low: float
    high: float


def points(folder: Path, tokens: bool = False) -> list[Point]:
    """Of all finished auditions below the folder with equal examples, or with equal tokens, by base and arm."""
    found = sorted(folder.glob("*/auditions/*/*/result.json"))
    wanted = (path for path in found if (path.parts[-3] == TOKENS) == tokens)
    return sorted((p for path in wanted for p in _of_audition(path)), key=lambda p: (p.base, p.arm))


def _of_audition(path: Path) -> Iterator[Point]:
    audition = path.parts[-3]
    result, plan = (json.loads(path.with_name(n).read_text(encoding="utf-8")) for n in ("result.json", "plan.json"))
    (of_budget,) = result["budgets"].values()
    for arm, about in plan["arms"].items():
        is_teacher = about["kind"] == "teacher"
        if is_teacher if audition == TEACHERS else audition in (WINDOW, TOKENS) or arm == "lalp":
            window = "1" if audition == TOKENS else audition.removeprefix("window-")
            name = f"{arm} at {window}" if arm == "lalp" else arm
            accuracy = of_budget["accuracy"][arm]
            tokens = about["response_tokens"] / about["examples"]
            yield Point(path.parts[-5], name, tokens, accuracy["value"], accuracy["low"], accuracy["high"])


def table(of: Sequence[Point], what: str = "accuracy") -> str:
    """Markdown: a row per arm, the best on average first, a column per base."""
    bases = sorted({p.base for p in of})
    cells = {(p.arm, p.base): f"{p.value:.3f} ({p.tokens:.0f})" for p in of}
    values = {arm: [p.value for p in of if p.arm == arm] for arm in {p.arm for p in of}}
    order = sorted(values, key=lambda arm: (-sum(values[arm]) / len(values[arm]), arm))
    lines = [f"| {what} (tokens a trace) | " + " | ".join(bases) + " |", "|---" * (len(bases) + 1) + "|"]
    lines += [f"| {arm} | " + " | ".join(cells.get((arm, base), "") for base in bases) + " |" for arm in order]
    return "\n".join(lines)


def differences(folder: Path, tokens: bool = False) -> str:
    """Markdown: what lalp's choice teaches more than others in points, by base; a star where that is settled."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob(f"*/auditions/{TOKENS if tokens else WINDOW}/*/result.json")):
        (of_budget,) = json.loads(path.read_text(encoding="utf-8"))["budgets"].values()
        for row in of_budget["comparisons"]:
            if row["arm"] == "lalp" and not row["other"].startswith(ONLY):
                shown = f"{100 * row['difference']['value']:+.1f}{'*' if row['settled'] else ''}"
                found.setdefault(row["other"], {})[path.parts[-5]] = shown
    bases = sorted({base for of in found.values() for base in of})
    lines = [f"| lalp at 1, {'equal tokens' if tokens else 'equal examples'} | " + " | ".join(bases) + " |"]
    lines += ["|---" * (len(bases) + 1) + "|"]
    lines += [f"| - {other} | " + " | ".join(of.get(base, "") for base in bases) + " |" for other, of in found.items()]
    return "\n".join(lines)


def preferences(folder: Path) -> list[dict[str, Any]]:
    """Rows of the files that `choices.py --out` wrote into the folder as `choices-BASE.json`."""
    return [row for path in sorted(folder.glob("choices-*.json")) for row in json.loads(path.read_text("utf-8"))]


def picture(of: Sequence[Point], preferred: Sequence[dict[str, Any]]) -> bytes:
    """A PNG with a column per kind of copies: above, for which share of problems a metric prefers the trace with
    copies; below, the accuracy after training on such traces alone; means over bases."""
    kinds = list(dict.fromkeys(row["copies"] for row in preferred))
    trained = [
        {"copies": kind, "dose": float(dose), "base": p.base, "accuracy": p.value}
        for p in of
        if p.arm.startswith(ONLY) and " " in (name := p.arm.removeprefix(ONLY))
        for kind, dose in [name.split(" ")]
    ]
    work = [
        {"copies": kind, "dose": 0.0, "base": p.base, "accuracy": p.value}
        for kind in kinds
        for p in of
        if p.arm == f"{ONLY}work"
    ]
    x = alt.X("dose:Q", title="share of copied text", scale=alt.Scale(domain=[0, 0.8]))
    columns = alt.Column("copies:N", title=None, sort=kinds)
    above = (
        alt.Chart(alt.InlineData(values=[row for row in preferred if row["metric"] in SHOWN]))
        .mark_line(point=True)
        .encode(
            x=x,
            y=alt.Y("mean(share):Q", title="prefers the copies", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("metric:N", scale=alt.Scale(domain=list(SHOWN)), title=None),
            column=columns,
        )
        .properties(width=150, height=150)
    )
    below = (
        alt.Chart(alt.InlineData(values=[*work, *trained]))
        .mark_line(point=True, color="black")
        .encode(x=x, y=alt.Y("mean(accuracy):Q", title="accuracy after training on them"), column=columns)
        .properties(width=150, height=150)
    )
    return bytes(vl_convert.vegalite_to_png(alt.vconcat(above, below).to_dict(), scale=1.2))


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Tables of the auditions of demo/dose/run.sh.")
    parser.add_argument("folder", type=Path, help="what run.sh was given")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="where to write a picture")
    arguments = parser.parse_args()
    found = points(arguments.folder)
    if not found:
        print(f"there is no finished audition below {arguments.folder}; run demo/dose/run.sh first", file=sys.stderr)
        return 1
    print(table(found) + "\n\n" + differences(arguments.folder))
    if equal_tokens := points(arguments.folder, tokens=True):
        print(
            "\n" + table(equal_tokens, "accuracy, equal tokens") + "\n\n" + differences(arguments.folder, tokens=True)
        )
    if arguments.picture is not None:
        arguments.picture.write_bytes(picture(found, preferences(arguments.folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
