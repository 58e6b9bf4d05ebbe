"""Sums over a step's tokens: what the tables keep of the per-token values."""

import numpy as np

from stepsift.scoring.values import TokenValues

RANK_CLIP = 100
"""Ranks above this count as this (arXiv 2601.14249)."""


def step_sums(values: TokenValues | None, bounds: np.ndarray) -> dict[str, np.ndarray | None]:
    """For each step the sums of its tokens, keyed as in tables.SUMS; shape [steps], NaN for a step without tokens.

    `bounds` [steps + 1] are first tokens of steps. logprob, entropy and first_logprob are in nats; rank is clipped
    before it is summed; first_logprob is that of the step's first token. None for a pass that was not made.
    """
    if values is None:
        return dict.fromkeys(("logprob", "rank", "entropy", "brier", "first_logprob"))
    starts, counts = bounds[:-1], np.diff(bounds)
    filled = counts > 0

    def total(column: np.ndarray) -> np.ndarray:
        sums = np.full(len(counts), np.nan)
        # reduceat sums up to the next start, so starts of steps without tokens must not be among them.
        sums[filled] = np.add.reduceat(column.astype(np.float64), starts[filled]) if filled.any() else []
        return sums

    first = np.full(len(counts), np.nan)
    first[filled] = values.logprob[starts[filled]]
    return {
        "logprob": total(values.logprob),
        "rank": total(np.minimum(values.rank, RANK_CLIP)),
        "entropy": total(values.entropy),
        "brier": total(values.brier),
        "first_logprob": first,
    }
