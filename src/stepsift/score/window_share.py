"""How much of the response before it a step sees: whether LALP can differ from a mean over the whole context at all.

The paper (arXiv 2510.03988) finds that windows of 50 to 75 % of the preceding steps rank as the whole context does. A
window is a number of steps, so what it comes to depends on how many steps a teacher writes and how long they are.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stepsift.core import table_files, tables
from stepsift.score.forward.windows import first_visible_step

CLOSE = 0.5
"""From this share on, LALP is close to `step_mean`."""
_DIGITS = 4


@dataclass(frozen=True)
class WindowShare:
    """Over `steps` that have response tokens before them: the mean share of these that a step sees, and the share of
    steps that see all of them. None where there is no such step."""

    steps: int
    share: float | None
    share_whole: float | None

    @property
    def is_close(self) -> bool:
        """Whether scores in the window are close to those in the whole context."""
        return self.share is not None and self.share > CLOSE

    def as_json(self) -> dict[str, Any]:
        """Rounded, for metrics files."""
        shares = {"share": self.share, "share_whole": self.share_whole}
        rounded = {name: None if value is None else round(value, _DIGITS) for name, value in shares.items()}
        return {"steps": self.steps} | rounded

    def sentence(self) -> str:
        """What it comes to, and what to do where the window is too wide."""
        if self.share is None or self.share_whole is None:
            return "no step has any of its response before it, so a window changes nothing"
        seen = f"a step sees {self.share:.0%} of the response before it; {self.share_whole:.0%} of steps see all of it"
        if not self.is_close:
            return seen
        return (
            f"{seen}. Above {CLOSE:.0%} lalp is close to step_mean, which has no window: set a smaller score.window, "
            "or a share of the steps before (0.25)"
        )


def of_token_counts(traces: Iterable[NDArray[np.int64]], window: int | float) -> WindowShare:
    """The window share over traces given by the tokens of their steps, in order; `window` is `score.window`."""
    return _mean(np.array([_sums(n_tokens, window) for n_tokens in traces]).reshape(-1, 3))


def of_teachers(
    steps: Iterable[pl.DataFrame], teachers: pl.DataFrame, window: int | float
) -> tuple[WindowShare, dict[str, WindowShare]]:
    """Over all traces, and for each teacher by name.

    `steps` are frames of table step_scores (trace_id, step, n_tokens), of which none cuts a trace; `teachers` has
    trace_id and teacher.
    """
    traces: list[str] = []
    sums: list[tuple[int, float, int]] = []
    for frame in steps:
        ordered = frame.select("trace_id", "step", "n_tokens").sort("trace_id", "step")
        lengths = ordered.group_by("trace_id", maintain_order=True).len()
        traces += lengths["trace_id"].to_list()
        ends = lengths["len"].cum_sum().to_numpy()[:-1]
        counts = np.split(ordered["n_tokens"].to_numpy().astype(np.int64), ends) if ordered.height else []
        sums += [_sums(n_tokens, window) for n_tokens in counts]
    of_trace = dict(teachers.select("trace_id", "teacher").iter_rows())
    names, values = np.array([of_trace[t] for t in traces], dtype=object), np.array(sums).reshape(-1, 3)
    return _mean(values), {name: _mean(values[names == name]) for name in sorted(set(names))}


def of_tables(step_scores: Path, traces: Path, window: int | float) -> tuple[WindowShare, dict[str, WindowShare]]:
    """As `of_teachers`, from tables on disk, of which one row group at a time is in memory."""
    steps = table_files.regroup(
        table_files.scan(tables.STEP_SCORES, step_scores, ["trace_id", "step", "n_tokens"]), "trace_id"
    )
    named = list(table_files.scan(tables.TRACES, traces, ["trace_id", "teacher"]))
    return of_teachers(steps, pl.concat(named) if named else pl.DataFrame({"trace_id": [], "teacher": []}), window)


def metrics(overall: WindowShare, by_teacher: dict[str, WindowShare]) -> dict[str, Any]:
    """For a metrics file."""
    teachers = {name: share.as_json() for name, share in by_teacher.items()}
    return overall.as_json() | {"close_to_step_mean": overall.is_close, "teachers": teachers}


def _sums(n_tokens: NDArray[np.int64], window: int | float) -> tuple[int, float, int]:
    """Of the steps of a trace that have tokens, and tokens before them: their number, the sum of the shares of these
    that they see, and how many see all."""
    before = np.cumsum(n_tokens) - n_tokens
    first = [first_visible_step(step, window) for step in range(len(n_tokens))]
    counted = (before > 0) & (n_tokens > 0)
    shares = (before - before[first])[counted] / before[counted]
    return len(shares), math.fsum(shares), int((shares == 1).sum())


def _mean(sums: NDArray[np.float64]) -> WindowShare:
    """From rows of `_sums`."""
    steps, seen, whole = (math.fsum(column) for column in sums.T)
    return WindowShare(int(steps), seen / steps, whole / steps) if steps else WindowShare(0, None, None)
