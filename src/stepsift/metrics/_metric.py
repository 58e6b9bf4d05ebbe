"""What a metric is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl


@dataclass(frozen=True)
class Metric:
    """One number for each trace, and which end of it is better.

    Exactly one of `trace` and `pool` computes it. The result is null where the metric is not defined for a trace.
    """

    name: str
    better: Literal["high", "low"] | None
    """Direction; None: neither end is better, the metric ranks nothing."""
    needs: Literal["local", "full"] | None
    """The scoring pass without which every score is null; None: needs no pass."""
    trace: pl.Expr | None = None
    """Aggregates the step_scores rows of one trace, inside `group_by("trace_id")`, to one number."""
    pool: Callable[[pl.DataFrame, int], pl.Series] | None = None
    """From all rows of trace_scores (sorted, without metrics) and `select.seed` to one number for each row."""
    draw: bool = False
    """A lottery: it selects (the highest number wins) although it has no direction."""

    def __post_init__(self) -> None:
        if (self.trace is None) == (self.pool is None):
            raise ValueError(f"metric '{self.name}' must have either a trace expression or a pool function")

    @property
    def selects(self) -> bool:
        """Whether the best trace of a prompt can be taken by this metric."""
        return self.better is not None or self.draw
