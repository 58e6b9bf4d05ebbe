"""Near duplicates: what is dropped, what is kept, and that MinHash finds what comparing all pairs finds."""

import random

import numpy as np
import pytest

from helpers.filter_pools import OFF, make_pool, prose, reasons, rejected
from stepsift.select.filters import near_duplicates
from stepsift.select.filters.minhash import buckets, sign


def on(threshold: float = 0.8) -> object:
    return OFF.model_copy(update={"near_duplicates": threshold})


WORDS = prose(100, seed=1)
TEXT = " ".join(WORDS)


def changed(n: int, word: str = "x") -> str:
    """TEXT with its last n words replaced: 96 - n of 96 shingles are shared, of a union of 96 + n."""
    return " ".join(WORDS[: 100 - n] + [f"{word}{i}" for i in range(n)])


def test_similarity_from_the_threshold_on_drops_the_later_one() -> None:
    rows = [
        {"response": TEXT, "hash": "1"},
        {"response": changed(10), "hash": "2"},
        {"response": changed(11), "hash": "3"},
    ]
    # The prompt is one word, so one shingle more that all of them share: 87 / 107 = 0.8131, 86 / 108 = 0.7963.
    got = rejected(make_pool(rows, {"p": "word"}), on(0.8)).select("trace_id", "reason", "detail").rows()
    detail = "0.813 of its five-word shingles shared with trace t0, select.filters.near_duplicates: 0.8"
    # The third is like the second, by 96 of 98, but that one is dropped itself.
    assert got == [("t1", "near_duplicate", detail)]
    assert reasons(make_pool(rows[:2], {"p": "word"}), on(87 / 107)) == {"t1": "near_duplicate"}
    assert reasons(make_pool(rows[:2], {"p": "word"}), on(0.8132)) == {}


def test_the_prompt_counts_too() -> None:
    rows = [{"response": "4", "prompt_id": p} for p in "pq"]
    assert reasons(make_pool(rows, {"p": TEXT, "q": changed(3)}), on()) == {"t1": "near_duplicate"}
    assert reasons(make_pool(rows, {"p": TEXT, "q": changed(50)}), on()) == {}


@pytest.mark.parametrize(
    ("first", "second", "dropped"),
    [
        ({"prompt_id": "p", "hash": "2"}, {"prompt_id": "p", "hash": "1"}, "t0"),
        ({"prompt_id": "p", "hash": "1"}, {"prompt_id": "p", "hash": "1"}, "t1"),
        ({"prompt_id": "q", "hash": "1"}, {"prompt_id": "p", "hash": "2"}, "t0"),
        ({"prompt_id": "p", "hash": "1", "teacher": "A"}, {"prompt_id": "p", "hash": "2", "teacher": "B"}, None),
        ({"prompt_id": "p", "hash": "1", "teacher": "A"}, {"prompt_id": "q", "hash": "2", "teacher": "B"}, "t1"),
    ],
)
def test_the_smallest_key_is_kept_and_teachers_of_one_prompt_are_left_alone(
    first: dict, second: dict, dropped: str | None
) -> None:
    pool = make_pool([first | {"response": TEXT}, second | {"response": TEXT}])
    assert reasons(pool, on(0.9)) == ({dropped: "near_duplicate"} if dropped else {})


def test_short_texts() -> None:
    rows = [{"response": r, "prompt_id": p} for p, r in (("p", "4"), ("q", "4"), ("r", "5"))]
    assert reasons(make_pool(rows, {"p": "a", "q": "a", "r": "a"}), on()) == {"t1": "near_duplicate"}


def test_a_repeated_shingle_counts_once() -> None:
    rows = [{"response": f"{TEXT} {TEXT} {changed(20)}"}, {"response": f"{TEXT} {TEXT} {TEXT} {changed(20)}"}]
    got = rejected(make_pool(rows), on(0.9))["detail"].to_list()
    assert [detail[:5] for detail in got] == ["1.000"]


def test_exact_comparisons_come_in_passes_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_SHINGLES", 10)
    pairs = [(1, 0), (2, 0), (3, 0), (4, 3)]
    assert list(near_duplicates._in_passes(pairs, np.array([4, 3, 3, 4, 20]))) == [pairs[:2], pairs[2:3], pairs[3:]]


def mutated(draw: random.Random, n: int) -> list[dict]:
    """Traces in families: of each, some words are replaced by others."""
    rows = []
    for i in range(n):
        words = prose(60, seed=i % 5)
        for _ in range(draw.randrange(5)):
            words[draw.randrange(60)] = f"v{draw.randrange(100)}"
        rows.append({"response": " ".join(words), "prompt_id": f"p{i % 7}", "teacher": draw.choice("AB")})
    return rows


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def by_all_pairs(rows: list[dict], threshold: float) -> set[str]:
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["prompt_id"], f"t{i}"))
    sets = {i: shingles(rows[i]["response"]) | shingles(rows[i]["prompt_id"]) for i in order}
    kept: list[int] = []
    dropped = set()
    for i in order:
        like = [
            j
            for j in kept
            if len(sets[i] & sets[j]) >= threshold * len(sets[i] | sets[j])
            and (rows[i]["prompt_id"] != rows[j]["prompt_id"] or rows[i]["teacher"] == rows[j]["teacher"])
        ]
        if like:
            dropped.add(f"t{i}")
        else:
            kept.append(i)
    return dropped


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("room", [2**25, 300])
def test_the_same_as_comparing_all_pairs(seed: int, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_SHINGLES", room)
    rows = mutated(random.Random(seed), 60)
    threshold = (0.5, 0.7, 0.9)[seed % 3]
    expected = by_all_pairs(rows, threshold)
    assert 5 < len(expected) < 55
    assert set(reasons(make_pool(rows, rows_a_frame=7), on(threshold))) == expected


def test_signatures_estimate_similarity_and_do_not_change() -> None:
    draw = np.random.default_rng(0)
    hashes = draw.integers(0, 2**63, 20_000, dtype=np.uint64)
    one, other = sign([hashes[:15_000], hashes[5_000:]])
    # Jaccard 1/2; four standard errors of 0.044.
    assert abs((one == other).mean() - 0.5) < 0.18
    assert (sign([np.concatenate([hashes[:15_000][::-1], hashes[:9]])])[0] == one).all()
    assert sign([np.array([2**63 + 5, 7 << 40], np.uint64)])[0][:3].tolist() == FIRST


FIRST = [1394070541, 1115016797, 1686949485]
"""Kept, so that a new version of the library that would change what is dropped is noticed."""


def test_buckets_hold_pairs_at_the_threshold() -> None:
    draw = np.random.default_rng(0)
    base = draw.integers(0, 2**32, (300, 128), dtype=np.uint32)
    other = np.where(draw.random((300, 128)) < 0.9, base, base + 1)
    shared = buckets(np.concatenate([base, other]), 0.9)
    assert shared.shape == (600, 16)
    together = (shared[:300] == shared[300:]) & (shared[:300] >= 0)
    assert together.any(axis=1).all()
    assert (buckets(base, 0.9) == -1).all()
