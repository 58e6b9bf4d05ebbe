"""What the auditions of demo/dose/run.sh gave so far: a table and a picture.

    python demo/dose/summary.py FOLDER [--picture dose.png]

Accuracies are means over seeds. Of a selector, `at k` is its choice with a window of k steps instead of four.
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

WINDOW = "4"
SHOWN = ("lalp", "galp", "step_mean", "random")
"""What the picture has lines for, if it is there."""
BUDGET = "examples"


@dataclass(frozen=True)
class Point:
    """Accuracy (0 to 1), with a 95 % interval over questions, after training on what `arm` chose in a world at a dose;
    `tokens` of a trace, mean."""

    world: str
    dose: float
    arm: str
    tokens: float
    value: float
    low: float
    high: float


def points(folder: Path) -> list[Point]:
    """Of all finished auditions below the folder, by world, dose and arm."""
    found = sorted(folder.glob("*/auditions/window-*/*/result.json"))
    return sorted((p for path in found for p in _of_audition(path)), key=lambda p: (p.world, p.dose, p.arm))


def _of_audition(path: Path) -> Iterator[Point]:
    window = path.parts[-3].removeprefix("window-")
    world, dose = path.parts[-5].split("-", 1)
    result, plan = (json.loads(path.with_name(n).read_text(encoding="utf-8")) for n in ("result.json", "plan.json"))
    for arm, about in plan["arms"].items():
        is_own = window == WINDOW or about["kind"] == "selector"
        if is_own:
            name = arm if window == WINDOW else f"{arm} at {window}"
            accuracy = result["budgets"][BUDGET]["accuracy"][arm]
            tokens = about["response_tokens"] / about["examples"]
            yield Point(world, float(dose), name, tokens, accuracy["value"], accuracy["low"], accuracy["high"])


def table(of: Sequence[Point]) -> str:
    """Markdown: a table per world, a row per arm, the best on average first, a column per dose."""
    lines: list[str] = []
    for world in sorted({p.world for p in of}):
        own = [p for p in of if p.world == world]
        doses = sorted({p.dose for p in own})
        cells = {(p.arm, p.dose): f"{p.value:.3f} ({p.tokens:.0f})" for p in own}
        means = {arm: [p.value for p in own if p.arm == arm] for arm in {p.arm for p in own}}
        order = sorted(means, key=lambda arm: (-sum(means[arm]) / len(means[arm]), arm))
        lines += ["", f"| {world}: accuracy (tokens a trace) | " + " | ".join(f"dose {d:g}" for d in doses) + " |"]
        lines += ["|---" * (len(doses) + 1) + "|"]
        lines += [f"| {arm} | " + " | ".join(cells.get((arm, d), "") for d in doses) + " |" for arm in order]
    return "\n".join(lines[1:])


def picture(of: Sequence[Point]) -> bytes:
    """A PNG: accuracy against dose for SHOWN, a panel per world."""
    rows: list[dict[str, Any]] = [
        {"world": p.world, "dose": p.dose, "trained on the choice by": p.arm, "accuracy": p.value}
        for p in of
        if p.arm in SHOWN
    ]
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("dose:Q", title="share of copied text in the responses of two of five teachers"),
            y=alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("trained on the choice by:N", scale=alt.Scale(domain=list(SHOWN))),
            column=alt.Column("world:N", title="copied from"),
        )
        .properties(width=280, height=240)
    )
    return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=2))


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
    print(table(found))
    if arguments.picture is not None:
        arguments.picture.write_bytes(picture(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
