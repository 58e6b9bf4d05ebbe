"""Trace sums: what every metric is computed from, one row per trace, each column a sum over the trace's steps.

`n_steps` counts all steps, `n_filled` those that have tokens, `n_tokens` the tokens; `n_first_two` counts the first
tokens of steps that hold a character that is not white space, at most two a step; `n_first_100` counts those of the
trace's first 100 tokens, `n_branches` the steps that begin with a branch opener. For each pass, `local_` and `full_`:
`logprob`, `rank` (clipped at 100), `entropy` and `brier` are sums over all tokens, `first_logprob` and
`first_two_logprob` over the first one and two such tokens of each step, `step_logprob` is the sum over steps of a
step's mean log-probability a token; `first_100_logprob` and `top_entropy` are sums over the trace's first 100 tokens
and over the .5 % of them that have the most entropy. Sums of a pass are null where a step with tokens has none (the
pass was not possible), and where there is no token at all.

`local_n_shared` and `full_n_shared` count the steps that have tokens under both the student and the reference (each has
a tokenizer of its own); over these, `local_gain` is the sum of a step's mean log-probability a token under the student
less that under the reference, and `full_n_likelier` counts the steps whose probability, exp of that mean, is above the
student's by more than LIKELIER under the reference. All are null without a reference, and for a trace of which either
model lacks the pass.

Sums add up: those of a trace less those of some of its steps are those of the other steps.
"""

from collections.abc import Iterable, Iterator

import polars as pl

from stepsift.core import tables

COUNTS = ("n_steps", "n_filled", "n_tokens", "n_first_two", "n_first_100", "n_branches")
OF_PASS = (*tables.SUMS, "step_logprob", *tables.PICKED)
OF_BOTH = ("local_n_shared", "local_gain", "full_n_shared", "full_n_likelier")
COLUMNS = (*COUNTS, *(f"{p}_{s}" for p in tables.PASSES for s in OF_PASS), *OF_BOTH)
"""All columns but `trace_id`."""

LIKELIER = 0.1
"""By how much a step must be more probable under the reference (arXiv 2512.20908)."""

_N = pl.col("n_tokens")
_FILLED = _N > 0


def trace_sums(step_scores: pl.DataFrame) -> pl.DataFrame:
    """Columns trace_id and COLUMNS, one row per trace, sorted by trace_id; nothing depends on the order of rows.

    `step_scores` are whole traces of the table of that name.
    """
    return _summed(in_order(step_scores), ["trace_id"], COLUMNS)


def block_sums(step_scores: pl.DataFrame, blocks: int, columns: list[str]) -> pl.DataFrame:
    """Sums over blocks of neighbouring steps: trace_id, block (from 0) and those of COLUMNS that are named.

    A trace's steps are cut into `blocks` runs of equal length (to one step); a trace of fewer steps has fewer blocks.
    """
    of_trace = pl.len().over("trace_id")
    block = ((pl.col("step") - 1) * pl.min_horizontal(blocks, of_trace) // of_trace).cast(pl.Int8)
    return _summed(in_order(step_scores).with_columns(block.alias("block")), ["trace_id", "block"], columns)


def over_frames(frames: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """`trace_sums` of a whole table, of which one frame at a time is in memory; a trace must not span two frames."""
    parts = [trace_sums(frame) for frame in frames]
    return pl.concat(parts).sort("trace_id") if parts else trace_sums(pl.DataFrame(schema=tables.STEP_SCORES.schema))


def _summed(steps: pl.DataFrame, by: list[str], columns: Iterable[str]) -> pl.DataFrame:
    """The named COLUMNS of each group, behind the columns `by`."""
    opens = pl.col("opens_branch")
    sums = {
        "n_steps": pl.len().cast(pl.Int32),
        "n_filled": _FILLED.sum().cast(pl.Int32),
        "n_tokens": _N.sum().cast(pl.Int32),
        "n_first_two": pl.col("n_first").sum().cast(pl.Int32),
        "n_first_100": pl.col("n_first_100").sum().cast(pl.Int32),
        "n_branches": pl.when(opens.is_not_null().all()).then(opens.sum()).cast(pl.Int32),
    }
    for p in tables.PASSES:
        possible = _FILLED.any() & ~(pl.col(f"{p}_logprob").is_null() & _FILLED).any()
        sums |= {f"{p}_{s}": pl.when(possible).then(pl.col(f"{p}_{s}").sum()) for s in tables.SUMS}
        for s in tables.PICKED:
            seen = _FILLED.any() & ~(pl.col(f"{p}_{s}").is_null() & _FILLED).any()
            sums[f"{p}_{s}"] = pl.when(seen).then(pl.col(f"{p}_{s}").sum())
        mean = pl.when(_FILLED).then(pl.col(f"{p}_logprob") / _N)
        sums[f"{p}_step_logprob"] = pl.when(possible).then(mean.sum())
    known = steps.columns
    has_reference = all(f"reference_{c}" in known for c in tables.OF_REFERENCE)
    sums |= _sums_of_both() if has_reference else {c: pl.lit(None, _KINDS[c]).first() for c in OF_BOTH}
    return steps.group_by(by, maintain_order=True).agg(sums[c].alias(c) for c in columns)


_KINDS: dict[str, pl.DataType] = {c: pl.Float64() if c == "local_gain" else pl.Int32() for c in OF_BOTH}


def _sums_of_both() -> dict[str, pl.Expr]:
    """Sums over the steps that have tokens under the student and under the reference."""
    n_reference = pl.col("reference_n_tokens")
    shared = _FILLED & (n_reference > 0).fill_null(False)
    means, seen = {}, {}
    for p in tables.PASSES:
        own, other = pl.col(f"{p}_logprob"), pl.col(f"reference_{p}_logprob")
        means[p] = (pl.when(shared).then(own / _N), pl.when(shared).then(other / n_reference))
        seen[p] = shared.any() & ~((own.is_null() | other.is_null()) & shared).any()
    own, other = means["full"]
    sums = {
        "local_n_shared": (seen["local"], shared.sum()),
        "local_gain": (seen["local"], (means["local"][0] - means["local"][1]).sum()),
        "full_n_shared": (seen["full"], shared.sum()),
        "full_n_likelier": (seen["full"], (other.exp() - own.exp() > LIKELIER).sum()),
    }
    return {c: pl.when(possible).then(value).cast(_KINDS[c]) for c, (possible, value) in sums.items()}


def in_order(step_scores: pl.DataFrame) -> pl.DataFrame:
    """Sorted by trace and step in one chunk, so that sums add up in one order and to the last bit the same."""
    trace, step = pl.col("trace_id"), pl.col("step")
    above = (trace > trace.shift()) | ((trace == trace.shift()) & (step > step.shift()))
    # The table on disk is sorted already; a check costs far less than sorting tens of millions of rows.
    if not step_scores.select(above.all()).item():
        step_scores = step_scores.sort("trace_id", "step")
    earlier = _N.cum_sum().over("trace_id") - _N
    of_first = (tables.FIRST_TOKENS - earlier).clip(0, _N).alias("n_first_100")
    return step_scores.rechunk().with_columns(trace.set_sorted(), of_first)
