"""Sums over a step's tokens: what the tables keep of the per-token values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stepsift.core import tables
from stepsift.score.forward.request import Scores, TokenValues

RANK_CLIP = 100
"""Ranks above this count as this (arXiv 2601.14249)."""
TOP_ONE_OF = 200
"""Of so many tokens of a trace one, rounded up, is among those with the most entropy (arXiv 2605.22389: .5 %)."""


@dataclass(frozen=True)
class Scored:
    """A trace with its values. `bounds` [steps + 1] are first tokens of its steps; `inked` [tokens] as in
    `Rendered`; `branches` [steps] says which steps begin with a branch opener, None where nobody looked."""

    trace_id: str
    bounds: np.ndarray
    inked: np.ndarray
    scores: Scores
    branches: np.ndarray | None = None


def step_rows(traces: Sequence[Scored]) -> pl.DataFrame:
    """Rows of step_scores of these traces, in their order; null for a pass that was not made."""
    if not traces:
        return pl.DataFrame(schema=tables.STEP_SCORES.schema)
    counts = np.array([len(t.bounds) - 1 for t in traces])
    tokens = np.array([t.bounds[-1] for t in traces])
    starts = np.concatenate([[0], np.cumsum(tokens)])
    bounds = np.concatenate([*(t.bounds[:-1] + at for t, at in zip(traces, starts, strict=False)), starts[-1:]])
    of_step = np.repeat(np.arange(len(traces)), counts)
    columns: dict[str, Any] = {
        "trace_id": pl.Series([t.trace_id for t in traces]).gather(of_step),
        "step": np.concatenate([np.arange(1, n + 1, dtype=np.int32) for n in counts]),
        "n_tokens": np.diff(bounds).astype(np.int32),
        "opens_branch": pl.concat(branch_column(t.branches, n) for t, n in zip(traces, counts, strict=True)),
    }
    firsts = first_tokens(np.concatenate([t.inked for t in traces]), bounds)
    columns["n_first"] = (firsts >= 0).sum(axis=1).astype(np.int32)
    for name in tables.PASSES:
        values: list[TokenValues | None] = [getattr(t.scores, name) for t in traces]
        made = np.repeat([v is not None for v in values], counts)
        filled = [v or TokenValues.empty(n) for v, n in zip(values, tokens, strict=True)]
        every = TokenValues(*map(np.concatenate, zip(*(v.columns() for v in filled), strict=True)))
        sums = sum_steps(every, bounds, firsts)
        picked = [picked_sums(v, t.bounds) for v, t in zip(filled, traces, strict=True)]
        sums |= {k: np.concatenate([p[k] for p in picked]) for k in tables.PICKED}
        columns |= {f"{name}_{k}": np.where(made, v, np.nan) for k, v in sums.items()}
    frame = pl.DataFrame(columns, schema=tables.STEP_SCORES.schema)
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def branch_column(branches: np.ndarray | None, n_steps: int) -> pl.Series:
    """Column opens_branch of one trace; null where nobody looked."""
    return pl.Series(np.asarray(branches)) if branches is not None else pl.Series([None] * n_steps, dtype=pl.Boolean)


def picked_sums(values: TokenValues, bounds: np.ndarray) -> dict[str, np.ndarray]:
    """For each step of one trace the sums over its picked tokens, keyed as in tables.PICKED; shape [steps], float64.

    NaN for a step without tokens, 0 for one of whose tokens none is picked. Of tokens with equal entropy the earlier
    one is picked.
    """
    n_tokens = int(bounds[-1])
    first = np.arange(n_tokens) < tables.FIRST_TOKENS
    top = np.zeros(n_tokens, dtype=bool)
    top[np.argsort(-values.entropy.astype(np.float64), kind="stable")[: -(-n_tokens // TOP_ONE_OF)]] = True
    return {
        "first_100_logprob": _totals(np.where(first, values.logprob, 0.0), bounds),
        "top_entropy": _totals(np.where(top, values.entropy, 0.0), bounds),
    }


def _totals(column: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Sums over each step's tokens in float64; NaN for a step without any."""
    starts, filled = bounds[:-1], np.diff(bounds) > 0
    sums = np.full(len(starts), np.nan)
    # reduceat sums up to the next start, so starts of steps without tokens must not be among them.
    sums[filled] = np.add.reduceat(column.astype(np.float64), starts[filled]) if filled.any() else []
    return sums


def first_tokens(inked: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The first two tokens of each step that hold a character that is not white space; [steps, 2], -1 for none.

    `inked` [tokens] says which tokens do, `bounds` [steps + 1] are first tokens of steps.
    """
    # Two that belong to no step stand behind the last, for steps that have fewer.
    places = np.concatenate([np.flatnonzero(inked), [len(inked)] * 2])
    at = np.searchsorted(places[:-2], bounds[:-1])
    first_two = places[at[:, None] + np.arange(2)]
    return np.where(first_two < bounds[1:, None], first_two, -1)


def sum_steps(values: TokenValues, bounds: np.ndarray, firsts: np.ndarray) -> dict[str, np.ndarray]:
    """For each step the sums of its tokens, keyed as in tables.SUMS; shape [steps], NaN for a step without tokens.

    `bounds` [steps + 1] are first tokens of steps, `firsts` their `first_tokens`. logprob and entropy are in nats; rank
    is clipped before it is summed; first_logprob and first_two_logprob are sums over the first one and two of
    `firsts`, 0 where there is none. Sums are in float64.
    """
    filled = np.diff(bounds) > 0
    first, second = (
        np.where(firsts >= 0, values.logprob.astype(np.float64)[firsts], 0.0).T if filled.any() else firsts.T
    )
    return {
        "logprob": _totals(values.logprob, bounds),
        "rank": _totals(np.minimum(values.rank, RANK_CLIP), bounds),
        "entropy": _totals(values.entropy, bounds),
        "brier": _totals(values.brier, bounds),
        "first_logprob": np.where(filled, first, np.nan),
        "first_two_logprob": np.where(filled, first + second, np.nan),
    }
