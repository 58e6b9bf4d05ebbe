"""A seeded draw: uniform in [0, 1), from nothing but the seed and the trace id.

    random(trace) = (the first 53 bits of SHA-256 of "seed:trace_id") / 2^53

The baseline that every other selector has to beat. A trace draws the same number in every pool, on every machine and
with every version of the libraries, so that a new trace moves no old draw. No direction. Source: a control.
"""

import hashlib

import polars as pl

from stepsift.metrics._metric import Metric


def draw(scores: pl.DataFrame, seed: int) -> pl.Series:
    """One number in [0, 1) for each row's trace_id."""
    digests = (hashlib.sha256(f"{seed}:{trace_id}".encode()).digest() for trace_id in scores["trace_id"])
    return pl.Series([(int.from_bytes(d[:8]) >> 11) / 2**53 for d in digests], dtype=pl.Float64)


METRIC = Metric("random", better=None, needs=None, pool=draw, draw=True)
