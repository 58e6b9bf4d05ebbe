"""Draws that depend on a seed and a name alone, never on what else is there."""

import hashlib

import polars as pl


def uniform(names: pl.Series, seed: int) -> pl.Series:
    """A number in [0, 1) for each name: the first 53 bits of SHA-256 of "seed:name", / 2^53."""
    digests = (hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names)
    return pl.Series([(int.from_bytes(d[:8]) >> 11) / 2**53 for d in digests], dtype=pl.Float64)
