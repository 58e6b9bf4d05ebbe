"""What bench/score.py found, as the Markdown of docs/BENCH.md: pure functions of cells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from scoring.traces import Trace, step_means, windows


@dataclass
class Cell:
    """One method and dtype on one set of traces: its calls, what it gave and took, or why it gave nothing.

    `logprobs` are those of tokens, or None for a method that gives sums of steps alone; `means` are those of the
    tokens of each step, nats.
    """

    seconds: list[float] = field(default_factory=list)
    logprobs: np.ndarray | None = None
    means: np.ndarray | None = None
    peak_mb: float | None = None
    failed: str = ""

    def keep(self, traces: list[Trace], values: list[np.ndarray]) -> None:
        """Take what a method gave: tokens' values, or sums of steps where their number is that of the steps."""
        lengths = [[len(w.step) for w in windows(t)] for t in traces]
        if all(len(v) == len(t.response) for v, t in zip(values, traces, strict=True)):
            self.logprobs = np.concatenate(values)
            self.means = np.concatenate([step_means(t, v) for t, v in zip(traces, values, strict=True)])
        else:
            self.means = np.concatenate([v / n for v, n in zip(values, lengths, strict=True)])


Cells = dict[tuple[str, str], Cell]
"""(method, dtype) -> cell."""


def methods_table(  # noqa: PLR0913 - what the table shows, once each
    cells: Cells, n_tokens: int, reference: str, exact: str, useful: float, ceilings: dict[str, float]
) -> list[str]:
    """Lines of a table of methods; speed-ups are ratios of medians over `reference`, shares are of `ceilings`.

    `useful` are the floating-point operations that the scores need, `ceilings` the operations a second of each dtype.
    The differences are to `reference` (means of steps) and to `exact` (tokens), both in the first dtype.
    """
    first = next(dtype for _, dtype in cells)
    base, truth = cells.get((reference, first)), cells.get((exact, first))
    head = [
        *("method", "dtype", "s", "ms per token", f"x {reference}, {first}", f"x {reference}, same dtype"),
        *(f"step's mean: difference to {reference}, {first}", f"token: difference to {exact}, {first}"),
        *("ceiling", "MB"),
    ]
    rows = []
    for (method, dtype), cell in cells.items():
        if cell.failed:
            rows.append([method, dtype, cell.failed, *[""] * (len(head) - 3)])
            continue
        s = median(cell.seconds) if cell.seconds else None
        means = (base.means, cell.means) if base else (None, None)
        tokens = (truth.logprobs, cell.logprobs) if truth else (None, None)
        rows.append(
            [
                *(method, dtype, _number(s), _number(s and 1000 * s / n_tokens)),
                *(ratio(base, cell), ratio(cells.get((reference, dtype)), cell)),
                *("" if cell is base else difference(*means), "" if cell is truth else difference(*tokens)),
                _percent(s and dtype in ceilings and useful / s / ceilings[dtype]),
                "" if cell.peak_mb is None else f"{cell.peak_mb:,.0f}",
            ]
        )
    return table(head, rows)


def growth_table(cells: dict[int, tuple[Cell, Cell]]) -> list[str]:
    """Lines of a table of length against cost: tokens -> (LALP, full pass)."""
    head = ["tokens", "LALP ms per token", "full pass ms per token", "LALP / full pass", "LALP MB", "full pass MB"]
    rows = []
    for n_tokens, both in cells.items():
        ms = [_number(1000 * median(c.seconds) / n_tokens) if c.seconds else c.failed for c in both]
        mb = ["" if c.peak_mb is None else f"{c.peak_mb:,.0f}" for c in both]
        rows.append([f"{n_tokens:,}", *ms, ratio(both[0], both[1]), *mb])
    return table(head, rows)


def ratio(over: Cell | None, under: Cell) -> str:
    """Median seconds of one cell over those of another; empty where one has none."""
    if over is None or not over.seconds or not under.seconds:
        return ""
    return f"{median(over.seconds) / median(under.seconds):.2f}"


def difference(ours: np.ndarray | None, theirs: np.ndarray | None) -> str:
    """Largest absolute difference; empty where one is missing, as loud as can be where a value is no number."""
    if ours is None or theirs is None:
        return ""
    largest = float(np.abs(ours.astype(np.float64) - theirs).max())
    return f"{largest:.1e}" if np.isfinite(largest) else "NOT A NUMBER"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _percent(share: float | bool | None) -> str:
    return f"{100 * share:.0f} %" if share else ""
