"""What a metric is."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl

from stepsift.metrics._forms import Scope

LOCAL = "_local"
"""What the name of a formula over windows ends in, where the metric itself is over the whole context."""


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
    of_two_models: bool = False
    """Whether it compares the student with a reference (`score.references`), without which every score is null."""
    ranks_teachers: bool = True
    """Whether a teacher's score means anything."""
    local: "Metric | None" = None
    """The same formula over windows, a metric of its own (see `both_passes`)."""
    about: str = ""
    """One line: what it is. The first of the file's docstring."""
    source: str = ""
    """Where the formula is from. What follows "Source: " in the file's docstring."""

    def __post_init__(self) -> None:
        if sum(way is not None for way in (self.trace, self.fit, self.draw)) != 1:
            raise ValueError(f"metric '{self.name}' must have exactly one of trace, fit and draw")

    @property
    def selects(self) -> bool:
        """Whether the best trace of a prompt can be taken by this metric."""
        return self.better is not None or self.draw is not None


def both_passes(formula: Callable[[Scope], Metric], title: str) -> Metric:
    """The metric `formula("full")`, with the twin that `formula("local")` is: the same over what the student says in
    each step's window (see `lalp`), a control of this project, named with LOCAL at its end.

    `title` is the metric's short name in the twin's description.
    """
    full, local = formula("full"), formula("local")
    twin = replace(local, name=full.name + LOCAL, about=f"{title} in windows.")
    return replace(full, local=twin)


def uniform(names: pl.Series, seed: int) -> pl.Series:
    """A number in [0, 1) for each name: the first 53 bits of SHA-256 of "seed:name", / 2^53.

    It depends on seed and name alone, never on what else is there.
    """
    digests = (hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names)
    return pl.Series([(int.from_bytes(d[:8]) >> 11) / 2**53 for d in digests], dtype=pl.Float64)
