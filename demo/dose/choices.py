"""Does a metric prefer the trace with copies? Pairs that differ by their copies alone, for any student.

    python demo/dose/choices.py --student FOLDER [--prompts 12] [--windows 1 4 8] [--dtype bfloat16]

For each story of `real_world.py` one trace (its work), and the same work with a dose of copies of each kind of
`dose_teachers.py`. Prints, as Markdown, for how many stories each metric prefers the trace with copies.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dose_teachers import COPIES, FAR
from real_teachers import OPENINGS, REMARKS, worded
from real_world import StoryProblem, distinct_story_problems
from stepsift import Scorer, select
from teachers import finish

DOSES = (0.2, 0.4, 0.6, 0.8)
METRICS = ("galp", "step_mean", "sum_logprob", "entropy", "cll", "aslec_drop")
"""Besides lalp in each window."""
SAYINGS = (*REMARKS, *OPENINGS, "One event after the other.")
WORK = "work"
Trace = tuple[str, str]
"""A name, and the text of a response."""


def traces_of(problem: StoryProblem) -> Iterator[Trace]:
    """The work, then for each kind of copies and each dose the same work with them."""
    work = worded(problem, Random(f"dose:{problem.prompt}"))
    yield WORK, finish(work, problem.answer).text
    events = [f"{event.text}." for event in problem.events]
    pieces = {
        "echoing": list(SAYINGS),
        "restating": [" ".join(events[i : i + 3]) for i in range(0, len(events), 3)],
    }
    for kind, copied in COPIES.items():
        for dose in DOSES:
            yield f"{kind} {dose:g}", finish(copied(work, pieces.get(kind, work), dose), problem.answer).text


def scored(problems: Sequence[StoryProblem], arguments: argparse.Namespace) -> pl.DataFrame:
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
        for i, problem in enumerate(problems):
            names, texts = zip(*traces_of(problem), strict=True)
            about = {"prompt_id": [str(i)] * len(names), "trace_id": [f"{i} {n}" for n in names], "teacher": names}
            parts.append(pl.DataFrame(about).hstack(scorer.score(problem.prompt, texts)))
            print(f"window {k}: {i + 1} of {len(problems)} stories", file=sys.stderr, flush=True)
        frame = pl.concat(parts)
        frames.append(frame if not frames else frame.select(pl.col("lalp").alias(f"lalp at {k:g}")))
    return pl.concat(frames, how="horizontal")


def preferred(frame: pl.DataFrame, name: str, column: str) -> int:
    """For how many prompts the trace called `name` is chosen over the work, by a metric or by `lalp at k`."""
    pair = frame.filter(pl.col("teacher").is_in([WORK, name]))
    by = "lalp" if column.startswith("lalp") else column
    chosen = select(pair.with_columns(pl.col(column).alias(by)), by=by)
    return chosen.filter(pl.col("teacher") == name).height


def table(frame: pl.DataFrame, windows: Sequence[float]) -> str:
    """Markdown: a row per kind of copies and dose, a column per metric."""
    columns = ["lalp", *(f"lalp at {k:g}" for k in windows[1:]), *METRICS]
    heads = [f"lalp at {windows[0]:g}", *columns[1:]]
    lines = [f"| copies | dose | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for kind in COPIES:
        place = "far" if kind in FAR else "near"
        for dose in DOSES:
            counts = [preferred(frame, f"{kind} {dose:g}", column) for column in columns]
            lines.append(f"| {place}: {kind} | {dose:g} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="For how many stories a metric prefers the trace with copies.")
    parser.add_argument("--student", type=Path, required=True, help="a folder with a model and its tokenizer")
    parser.add_argument("--prompts", type=int, default=12, help="stories")
    parser.add_argument("--windows", type=float, nargs="+", default=[1, 4, 8], help="of lalp, in steps")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"))
    arguments = parser.parse_args()
    problems = list(distinct_story_problems("dose:0", arguments.prompts))
    print(f"Of {arguments.prompts} stories, those for which a metric prefers the trace with copies:\n")
    print(table(scored(problems, arguments), arguments.windows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
