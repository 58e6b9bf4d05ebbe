"""What a metric is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl


@dataclass(frozen=True)
class Fit:
    """A metric fitted to the candidates: the expression that gives its scores, and what was estimated, for JSON."""

    score: pl.Expr
    coefficients: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """One number for each trace, and which end of it is better.

    Exactly one of `trace`, `fit` and `draw` computes it. Expressions are over trace sums (`stepsift.metrics._sums`), so
    that a metric can be taken of any part of a trace's steps. A result that is null or no finite number means that the
    metric is not defined for a trace.
    """

    name: str
    better: Literal["high", "low"] | None
    """Direction; None: neither end is better, the metric ranks nothing."""
    needs: Literal["local", "full"] | None
    """The scoring pass without which every score is null; None: needs no pass."""
    trace: pl.Expr | None = None
    """A trace's sums to its score."""
    fit: Callable[[pl.DataFrame, str], Fit] | None = None
    """From the candidates' trace sums and `select.casl_fit` to the fitted metric. Only candidates have a score, and it
    depends on which these are. Raises SelectionError where the fit is not determined."""
    draw: Callable[[pl.DataFrame, int], pl.Series] | None = None
    """From trace ids and `select.seed` to a number each: a lottery, whose highest number wins."""
    teacher: tuple[pl.Expr, pl.Expr] | None = None
    """A teacher's score is the ratio of the means of these two over its traces; None: the mean of its scores."""
    ranks_teachers: bool = True
    """Whether a teacher's score means anything."""

    def __post_init__(self) -> None:
        if sum(way is not None for way in (self.trace, self.fit, self.draw)) != 1:
            raise ValueError(f"metric '{self.name}' must have exactly one of trace, fit and draw")

    @property
    def selects(self) -> bool:
        """Whether the best trace of a prompt can be taken by this metric."""
        return self.better is not None or self.draw is not None
