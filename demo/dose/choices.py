"""Does a metric prefer the trace with copies? Pairs that differ by their copies alone, for any student.

    python demo/dose/choices.py --student demo/evidence/base-0 --world stories [--prompts 12] [--together 2]

For each problem one trace (its work), and the same work with a dose of copies of each kind of `dose_teachers.py`. A
line is a step; with `--together` so many lines in a row, of either trace, are one line.
Prints, as Markdown, for which share of problems each metric prefers the trace with copies. Worlds: `dial` (the demo's),
`stories` (of demo/evidence), `english` (for students that others pre-trained).
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dial_teachers import in_threes, sentence, tagged_lines
from dial_world import distinct_dial_problems
from dose_teachers import COPIES, DOSES, FAR, OPERATIONS, SAYINGS, WORK, sentences_of, with_copies, work_of
from real_teachers import OPENINGS, REMARKS, worded
from real_world import distinct_story_problems
from stepsift import Scorer, select
from teachers import finish
from world import distinct_problems

DIAL_OPERATIONS = (7, 8, 9)
DIAL_SAYINGS = tuple(sentence(Random(f"saying:{number}"), 4) for number in range(9))
METRICS = ("galp", "step_mean", "sum_logprob", "entropy", "cll", "aslec_drop")
"""Besides lalp in each window."""


@dataclass(frozen=True)
class Case:
    """A prompt, the lines of a work without copies, what the prompt says in pieces, nine sentences, and the answer."""

    prompt: str
    work: list[str]
    restated: list[str]
    sayings: list[str]
    answer: int

    def traces(self, together: int = 1) -> Iterator[tuple[str, str]]:
        """Names and texts: the work, then for each kind of copies and each dose the same work with them; `together`
        lines in a row are one line."""
        yield WORK, finish(joined(self.work, together), self.answer).text
        for kind in COPIES:
            for dose in DOSES:
                lines = with_copies(kind, self.work, self.restated, self.sayings, dose)
                yield f"{kind} {dose:g}", finish(joined(lines, together), self.answer).text


def joined(lines: Sequence[str], together: int) -> list[str]:
    """Every `together` lines in a row as one."""
    return [" ".join(lines[i : i + together]) for i in range(0, len(lines), together)]


def english(n: int) -> Iterator[Case]:
    """Of `real_world.py`."""
    for p in distinct_story_problems("dose:0", n):
        work = worded(p, Random(f"dose:{p.prompt}"))
        sayings = [*REMARKS, *OPENINGS, "One event after the other."]
        yield Case(p.prompt, work, [f"{event.text}." for event in p.events], sayings, p.answer)


def stories(n: int) -> Iterator[Case]:
    """Of `world.py`."""
    for p in distinct_problems("dose:0", n, lengths=OPERATIONS):
        yield Case(p.prompt, work_of(p), sentences_of(p), list(SAYINGS), p.answer)


def dial(n: int) -> Iterator[Case]:
    """Of `dial_world.py`."""
    for p in distinct_dial_problems("dose:0", n, lengths=DIAL_OPERATIONS):
        restated = [f"{three} ." for three in in_threes(p)]
        yield Case(p.prompt, tagged_lines(p), restated, list(DIAL_SAYINGS), p.answer)


WORLDS: dict[str, Callable[[int], Iterator[Case]]] = {"dial": dial, "stories": stories, "english": english}


def scored(cases: Sequence[Case], arguments: argparse.Namespace) -> pl.DataFrame:
    """A row per trace: `prompt_id`, `trace_id`, `teacher` (its name), and what the library scores; `lalp at k` for each
    window but the first."""
    frames: list[pl.DataFrame] = []
    for k in arguments.windows:
        scorer = Scorer(
            arguments.student,
            window=k,
            unit="line",
            passes=("local",) if frames else ("local", "full"),
            dtype=arguments.dtype,
        )
        parts = []
        for i, case in enumerate(cases):
            traces = dict(case.traces(arguments.together))
            # A small dose of a short trace may be no line at all.
            names = [name for name, text in traces.items() if name == WORK or text != traces[WORK]]
            about = {"prompt_id": [str(i)] * len(names), "trace_id": [f"{i} {n}" for n in names], "teacher": names}
            parts.append(pl.DataFrame(about).hstack(scorer.score(case.prompt, [traces[name] for name in names])))
            print(f"window {k}: {i + 1} of {len(cases)} problems", file=sys.stderr, flush=True)
        frame = pl.concat(parts)
        frames.append(frame if not frames else frame.select(pl.col("lalp").alias(f"lalp at {k:g}")))
    return pl.concat(frames, how="horizontal")


def preferred(frame: pl.DataFrame, name: str, column: str) -> float:
    """For which share of the prompts that have it the trace called `name` is chosen over the work, by a metric or by
    `lalp at k`."""
    having = frame.filter(pl.col("teacher") == name)["prompt_id"]
    pair = frame.filter(pl.col("teacher").is_in([WORK, name]), pl.col("prompt_id").is_in(having.implode()))
    by = "lalp" if column.startswith("lalp") else column
    chosen = select(pair.with_columns(pl.col(column).alias(by)), by=by)
    return chosen.filter(pl.col("teacher") == name).height / len(having)


def shares(frame: pl.DataFrame, windows: Sequence[float]) -> list[dict[str, Any]]:
    """`copies`, `dose`, `metric` and the `share` of problems for which it prefers the trace with copies."""
    further = [f"lalp at {k:g}" for k in windows[1:]]
    columns = {f"lalp at {windows[0]:g}": "lalp"} | {name: name for name in (*further, *METRICS)}
    return [
        {"copies": kind, "dose": dose, "metric": name, "share": preferred(frame, f"{kind} {dose:g}", column)}
        for kind in COPIES
        for dose in DOSES
        for name, column in columns.items()
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per kind of copies and dose, a column per metric."""
    names = list(dict.fromkeys(row["metric"] for row in rows))
    lines = [f"| copies | dose | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    cells = {(row["copies"], row["dose"], row["metric"]): f"{row['share']:.0%}" for row in rows}
    for kind in COPIES:
        for dose in DOSES:
            own = " | ".join(cells[kind, dose, name] for name in names)
            lines.append(f"| {'far' if kind in FAR else 'near'}: {kind} | {dose:g} | {own} |")
    return "\n".join(lines)


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="For which share of problems a metric prefers the trace with copies.")
    parser.add_argument("--student", type=Path, required=True, help="a folder with a model and its tokenizer")
    parser.add_argument("--world", choices=list(WORLDS), required=True, help="what the student may know")
    parser.add_argument("--prompts", type=int, default=12, help="problems")
    parser.add_argument("--windows", type=float, nargs="+", default=[1, 2, 4], help="of lalp, in steps")
    parser.add_argument("--together", type=int, default=1, metavar="N", help="lines that are one step")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--out", type=Path, metavar="JSON", help="where to write the same")
    arguments = parser.parse_args()
    cases = list(WORLDS[arguments.world](arguments.prompts))
    rows = shares(scored(cases, arguments), arguments.windows)
    print(f"Of {arguments.prompts} problems, the share for which a metric prefers the trace with copies:\n")
    print(table(rows))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
