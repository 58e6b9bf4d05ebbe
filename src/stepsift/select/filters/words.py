"""Texts as words and as hashes of runs of words, for many texts at once.

A word is a lower-cased run of letters, marks, digits and `_` after NFKC. Scripts that put no blanks between words (Han,
kana, Thai, Lao, Khmer, Burmese) give one word a character: thirteen words in a row are then thirteen characters.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = rf"[{_UNSPACED}]|[\w--{_UNSPACED}]+"
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)


@dataclass(frozen=True)
class Words:
    """The words of some texts, one after the other, as 64-bit hashes that are the same on every machine.

    `hashes` has shape [words]; text i has `hashes[bounds[i]:bounds[i + 1]]`, `bounds` has shape [texts + 1].
    """

    hashes: Hashes
    bounds: Places

    def runs(self, length: int, short: bool = False) -> tuple[Hashes, Places]:
        """Hashes of all runs of `length` words within one text, and the number of the text of each: both [runs].

        A text of fewer words gives one run of all of them where `short`, else none. Two different runs have the same
        hash with probability 2^-64.
        """
        counts = np.diff(self.bounds)
        text = np.repeat(np.arange(len(counts)), counts)
        first = np.arange(len(text))
        end = self.bounds[1:][text]
        # A polynomial over the run, as a difference of prefix sums: its cost does not grow with the length of a run.
        powers, back = (_powers(base, len(text)) for base in (_BASE, _INVERSE))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(self.hashes * powers)])
        keep = first + length <= end
        if short:
            keep |= (first == self.bounds[:-1][text]) & (first + length > end)
        first, end, text = first[keep], end[keep], text[keep]
        return (sums[np.minimum(first + length, end)] - sums[first]) * back[first], text


def words_of(texts: pl.Series) -> pl.Series:
    """A list of words for each text, from a String series."""
    return texts.str.normalize("NFKC").str.to_lowercase().str.extract_all(_WORD)


def read_words(texts: pl.Series) -> Words:
    """The words of a String series."""
    lists = words_of(texts)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lists.list.len().to_numpy(), dtype=np.int64)])
    words = lists.explode().drop_nulls().rename("word")
    # Each word is hashed once: a pool has few, and hashes of Polars differ by version.
    distinct = words.unique()
    known = pl.DataFrame({"word": distinct, "hash": pl.Series([_hash(w) for w in distinct], dtype=pl.UInt64)})
    hashes = words.to_frame().join(known, on="word", how="left", maintain_order="left")["hash"]
    return Words(hashes.to_numpy(), bounds)


def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def _powers(base: int, n: int) -> Hashes:
    """base^0 .. base^(n - 1) modulo 2^64."""
    powers = np.full(n, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, dtype=np.uint64)
