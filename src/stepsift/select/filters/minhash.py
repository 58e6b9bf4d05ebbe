"""MinHash signatures, and the pairs that they suggest."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stepsift.select.filters.words import Hashes

N_PERMUTATIONS = 128
Signatures = NDArray[np.uint32]

_SEED = 1
_SLICE = 4_096
_RECALL = 0.999
_SLACK = 3.0
"""Standard errors of an estimate below the threshold at which a pair is still looked at."""


def sign(shingles: list[Hashes]) -> Signatures:
    """Signatures [sets, 128] of sets of 64-bit hashes (repeated ones do not matter), by datasketch."""
    # Here, because it imports scipy.
    from datasketch import MinHash

    template = MinHash(N_PERMUTATIONS, seed=_SEED, hashfunc=int, scheme="affine32")
    signatures = np.empty((len(shingles), N_PERMUTATIONS), np.uint32)
    for row, hashes in enumerate(shingles):
        sketch = template.copy()
        short = (hashes >> np.uint64(32)).tolist()
        # Slices, because 128 numbers are made of each hash.
        for start in range(0, len(short), _SLICE):
            sketch.update_batch(short[start : start + _SLICE])
        signatures[row] = sketch.hashvalues
    return signatures


def buckets(signatures: Signatures, threshold: float) -> NDArray[np.int64]:
    """Numbers of the buckets of each set, [sets, bands]; -1 for one that holds nothing else.

    Bands are as wide as they may be for a pair at the threshold to share a bucket with probability 0.999.
    """
    width = next((w for w in (32, 16, 8, 4, 2) if _recall(threshold, w) >= _RECALL), 1)
    n_bands = N_PERMUTATIONS // width
    shared = np.full((len(signatures), n_bands), -1, np.int64)
    n_buckets = 0
    for band in range(n_bands):
        part = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width])
        _, number, count = np.unique(part.view(f"V{4 * width}").ravel(), return_inverse=True, return_counts=True)
        shared[:, band] = np.where(count[number] > 1, number + n_buckets, -1)
        n_buckets += len(count)
    return shared


def _recall(similarity: float, width: int) -> float:
    return 1.0 - (1.0 - similarity**width) ** (N_PERMUTATIONS // width)


def keep_first(
    signatures: Signatures,
    shared: NDArray[np.int64],
    threshold: float,
    comparable: Callable[[NDArray[np.int64], int], NDArray[np.bool_]],
    known: dict[tuple[int, int], float],
) -> tuple[dict[int, int], list[tuple[int, int]]]:
    """Go through the sets in order and keep each that is like none kept before it.

    `known` holds similarities of pairs (later, earlier); `comparable(earlier, later)` says of which earlier sets the
    later one may be like. Returns the dropped sets, each with the kept one that it is like, and the pairs on which more
    depends and which `known` lacks: while there are any, what was dropped is not final.
    """
    least = threshold - _SLACK * np.sqrt(threshold * (1 - threshold) / N_PERMUTATIONS)
    kept: dict[int, list[int]] = {}
    dropped: dict[int, int] = {}
    unknown: list[tuple[int, int]] = []
    for row in np.flatnonzero((shared >= 0).any(axis=1)).tolist():
        own = [bucket for bucket in shared[row].tolist() if bucket >= 0]
        near = np.array(sorted({other for bucket in own for other in kept.get(bucket, ())}), np.int64)
        if len(near):
            alike = (signatures[near] == signatures[row]).mean(axis=1) >= least
            pairs = [(row, other) for other in near[alike & comparable(near, row)].tolist()]
            like = next((other for _, other in pairs if known.get((row, other), 0.0) >= threshold), None)
            if like is not None:
                dropped[row] = like
                continue
            open_pairs = [pair for pair in pairs if pair not in known]
            unknown += open_pairs
            if open_pairs:
                continue
        for bucket in own:
            kept.setdefault(bucket, []).append(row)
    return dropped, unknown
