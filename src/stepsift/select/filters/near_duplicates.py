"""Traces that are nearly the same as another one.

Compared are sets of five-word shingles, those of the prompt's last user message and those of the response together, by
Jaccard similarity. MinHash finds the pairs that are worth a look (one in a thousand at the threshold is missed), the
sets themselves decide. Traces are taken in the order of prompt_id, content_hash and trace_id, and each that is like a
kept one before it is dropped. Two teachers who answer the same prompt alike are both kept: ranking teachers needs them.

In memory stay 512 bytes of signature for each trace and prompt; texts that are looked at once more come in passes of
bounded size. What reads texts is done by worker processes, part by part.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stepsift.core.processes import Crew
from stepsift.select.filters.minhash import Signatures, buckets, keep_first, sign
from stepsift.select.filters.words import Hashes, Words, read_words
from stepsift.select.pool import ScoredPool

SHINGLE_WORDS = 5
PROMPTS = 4_096
"""Prompts, or traces that are compared exactly, whose words are in memory at once."""
MAX_SHINGLES = 2**25
"""Shingles of one pass of exact comparisons, 8 bytes each."""


@dataclass(frozen=True)
class Sketches:
    """Signatures [texts, 128] of the shingles of some texts, and how many shingles each has."""

    signatures: Signatures
    sizes: NDArray[np.int64]


def sketch(words: Words, rows: Iterable[int]) -> Sketches:
    """Sketches of the texts with these numbers."""
    shingles = _Shingles.of(words)
    sets = [shingles[row] for row in rows]
    return Sketches(sign(sets), np.array([len(s) for s in sets], np.int64))


class NearDuplicates:
    """Takes the sketches of responses in parts, then says which traces are near duplicates."""

    def __init__(self, pool: ScoredPool, threshold: float, crew: Crew[Any]):
        self.pool, self.threshold, self._crew = pool, threshold, crew
        self._last_user = _last_user(pool.prompts)
        parts = [sketch(read_words(self._last_user.head(0)), [])]
        parts += crew.map(_sketch_all, self._last_user.to_frame("text").iter_slices(PROMPTS))
        signatures, sizes = ([getattr(p, name) for p in parts] for name in ("signatures", "sizes"))
        self._prompts = Sketches(np.concatenate(signatures), np.concatenate(sizes))
        self._rows = dict(zip(pool.prompts["prompt_id"], range(pool.prompts.height), strict=True))
        self._ids: list[pl.Series] = []
        self._signatures: list[Signatures] = []
        self._sizes: list[NDArray[np.int64]] = []

    def add(self, kept: pl.DataFrame, responses: Sketches) -> None:
        """Take rows (trace_id, prompt_id), and the sketches of their responses."""
        prompts = [self._rows[prompt_id] for prompt_id in kept["prompt_id"]]
        self._ids.append(kept["trace_id"])
        # The least hash of both sets is the lesser one of each.
        self._signatures.append(np.minimum(responses.signatures, self._prompts.signatures[prompts]))
        self._sizes.append(responses.sizes + self._prompts.sizes[prompts])

    def find(self) -> pl.DataFrame:
        """Columns trace_id and detail of the near duplicates among all rows that were taken."""
        if not self._ids:
            return pl.DataFrame(schema={"trace_id": pl.String, "detail": pl.String})
        about = pl.concat(self._ids).to_frame("trace_id").with_row_index("at")
        keys = self.pool.traces.select("trace_id", "prompt_id", "content_hash", "teacher")
        about = about.join(keys, on="trace_id", how="left").sort("prompt_id", "content_hash", "trace_id")
        at = about["at"].to_numpy()
        signatures, sizes = np.concatenate(self._signatures)[at], np.concatenate(self._sizes)[at]
        prompt, teacher = (about[c].rank("dense").to_numpy() for c in ("prompt_id", "teacher"))

        def comparable(earlier: NDArray[np.int64], later: int) -> NDArray[np.bool_]:
            return (prompt[earlier] != prompt[later]) | (teacher[earlier] == teacher[later])

        shared = buckets(signatures, self.threshold)
        similarity: dict[tuple[int, int], float] = {}
        while True:
            dropped, unknown = keep_first(signatures, shared, self.threshold, comparable, similarity)
            if not unknown:
                break
            for pairs in _in_passes(unknown, sizes):
                similarity |= self._compare(pairs, about)
        ids = about["trace_id"]
        rows = [
            (
                ids[row],
                f"{similarity[row, other]:.3f} of its five-word shingles shared with trace {ids[other]}, "
                f"select.filters.near_duplicates: {self.threshold:g}",
            )
            for row, other in dropped.items()
        ]
        return pl.DataFrame(rows, schema={"trace_id": pl.String, "detail": pl.String}, orient="row")

    def _compare(self, pairs: list[tuple[int, int]], about: pl.DataFrame) -> dict[tuple[int, int], float]:
        """Jaccard similarities of pairs of rows of `about`; one pass over the responses."""
        places = about.with_row_index("place").select("trace_id", "place", "prompt_id")
        places = places[sorted({place for pair in pairs for place in pair})]
        asked = self.pool.prompts.select("prompt_id", asked=self._last_user)
        places = places.join(asked, on="prompt_id", how="left", maintain_order="left")
        placed = (frame.join(places, on="trace_id") for frame in self.pool.responses())
        parts = (part for frame in placed for part in frame.iter_slices(PROMPTS))
        sets = {place: hashes for part in self._crew.map(_exact_sets, parts) for place, hashes in part}
        return {pair: _jaccard(sets[pair[0]], sets[pair[1]]) for pair in pairs}


def _sketch_all(_: object, frame: pl.DataFrame) -> Sketches:
    """Of the texts of a frame."""
    return sketch(read_words(frame["text"]), range(frame.height))


def _exact_sets(_: object, frame: pl.DataFrame) -> list[tuple[int, Hashes]]:
    """Place and shingles, in order and each once, of rows (place, asked, response)."""
    asked, responses = (_Shingles.of(read_words(frame[c])) for c in ("asked", "response"))
    return [
        (place, np.unique(np.concatenate([asked[row], responses[row]]))) for row, place in enumerate(frame["place"])
    ]


class _Shingles:
    """The shingles of some texts; text i has `self[i]`."""

    def __init__(self, hashes: Hashes, bounds: NDArray[np.int64]):
        self._hashes, self._bounds = hashes, bounds

    @classmethod
    def of(cls, words: Words) -> "_Shingles":
        hashes, text = words.runs(SHINGLE_WORDS, short=True)
        return cls(hashes, np.searchsorted(text, np.arange(len(words.bounds))))

    def __getitem__(self, text: int) -> Hashes:
        return self._hashes[self._bounds[text] : self._bounds[text + 1]]


def _last_user(prompts: pl.DataFrame) -> pl.Series:
    user = pl.element().filter(pl.element().struct.field("role") == "user").struct.field("content")
    return prompts.select(pl.col("prompt").list.eval(user).list.last().fill_null(""))["prompt"]


def _in_passes(pairs: list[tuple[int, int]], sizes: NDArray[np.int64]) -> Iterator[list[tuple[int, int]]]:
    """The pairs, in parts whose sets fit into memory together."""
    part: list[tuple[int, int]] = []
    held: set[int] = set()
    room = MAX_SHINGLES
    for pair in pairs:
        new = [row for row in pair if row not in held]
        room -= sum(int(sizes[row]) for row in new)
        if room < 0 and part:
            yield part
            part, held, new = [], set(), list(pair)
            room = MAX_SHINGLES - sum(int(sizes[row]) for row in pair)
        part.append(pair)
        held.update(new)
    yield part


def _jaccard(one: Hashes, other: Hashes) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - shared
    return shared / union if union else 1.0
