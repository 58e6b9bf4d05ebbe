"""What goes into the forward passes and what comes out of them: plain numbers, without torch.

A `Request` is one trace as the engine wants it, a `Scores` what it gives back; the cache keeps `TokenValues`, and
everything else is computed from them.
"""

from dataclasses import dataclass

import numpy as np

from stepsift.score.forward.windows import Pass

DTYPES = {"logprob": np.float32, "rank": np.int32, "entropy": np.float32, "brier": np.float32}
"""Columns of TokenValues: what is kept of a token, as it is kept."""


@dataclass(frozen=True)
class TokenValues:
    """Values of T tokens under the student, each of shape [T]: the unit in which everything else is computed.

    logprob: ln p(y), nats. rank: 1 + entries with a logit strictly greater than the target's. entropy: of the
    next-token distribution, nats. brier: 1 - 2 p(y) + sum over v of p(v)^2, between 0 and 2. They are computed in
    float64 where it matters and kept as DTYPES says: what is kept is what is used, so a cached value and a new one give
    the same bytes.
    """

    logprob: np.ndarray
    rank: np.ndarray
    entropy: np.ndarray
    brier: np.ndarray

    @classmethod
    def empty(cls, n_tokens: int) -> "TokenValues":
        """Values to be filled in, NaN until then (rank 0)."""
        return cls(*(np.full(n_tokens, 0 if d is np.int32 else np.nan, dtype=d) for d in DTYPES.values()))

    def put(self, at: slice | np.ndarray, values: "TokenValues") -> None:
        """Fill a span, or the positions that an array of integers names."""
        for own, column in zip(self.columns(), values.columns(), strict=True):
            own[at] = column

    def take(self, at: slice | np.ndarray) -> "TokenValues":
        """A span, or the positions that an array of integers names."""
        return TokenValues(*(c[at] for c in self.columns()))

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """logprob, rank, entropy, brier."""
        return self.logprob, self.rank, self.entropy, self.brier

    def finite(self) -> bool:
        """Whether every value is a finite number."""
        return bool(np.isfinite(self.logprob).all() and np.isfinite(self.entropy).all())


@dataclass(frozen=True)
class Request:
    """One trace for the engine.

    `prompt` holds at least one token; `local` are passes that together score every token of `response` once (empty: no
    local values are wanted); `full` says whether values over the whole context are wanted.
    """

    prompt: list[int]
    response: list[int]
    local: list[Pass]
    full: bool


@dataclass(frozen=True)
class Scores:
    """Values of a response's tokens in their windows and over the whole context; None for what was not asked.

    `usual`: made as `numerics` says. Values that a lack of memory made in other batches are not, and are never cached.
    """

    local: TokenValues | None
    full: TokenValues | None
    usual: bool = True


@dataclass(frozen=True)
class Refused:
    """Why a trace has no scores: a reason of the rejected table, and what was seen."""

    reason: str
    detail: str
