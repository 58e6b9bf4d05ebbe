"""Attention over packed segments: layouts worked out by hand, and kernels against the definition."""

from dataclasses import astuple
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig

from helpers.reference_attention import reference_varlen
from stepsift.score.forward import attention
from stepsift.score.forward.attention import Padded, Segments, Varlen, cut, pick_kernel, spans, tiles, visible

CPU = torch.device("cpu")

TWO = Segments(own=np.array([3, 2]), shared=np.array([2, 1]), shared_start=np.array([1, 0]), n_kept=3)
"""Of three kept tokens the first segment sees the last two, the second the first one. Keys: kept 0-2, packed 3-7."""


def by_definition(segments, query, key, value, scale, window, softcap):
    """Attention of each query over the kept tokens and own tokens that it sees, in float64, all heads alike."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.double().repeat_interleave(groups, dim=1) for x in (key, value))
    out, packed = [], 0
    for own, shared, start in zip(segments.own, segments.shared, segments.shared_start, strict=True):
        first = packed
        for _ in range(own):
            before = [*range(start, start + shared), *range(segments.n_kept + first, segments.n_kept + packed + 1)]
            seen = before if window is None else before[-window:]
            scores = torch.einsum("hd,khd->hk", query[packed].double(), key[seen]) * scale
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            out.append(torch.einsum("hk,khd->hd", scores.softmax(dim=1), value[seen]))
            packed += 1
    return torch.stack(out)


def random_inputs(segments, heads=4, key_heads=2, width=8, value_width=5):
    generator = torch.Generator().manual_seed(int(segments.own.sum()))
    n = int(segments.own.sum())
    shapes = (n, heads, width), (segments.n_kept + n, key_heads, width), (segments.n_kept + n, key_heads, value_width)
    return [torch.randn(shape, generator=generator) * 2 for shape in shapes]


def test_spans():
    assert spans(np.array([5, 0, 2]), np.array([2, 0, 3])).tolist() == [5, 6, 2, 3, 4]
    assert spans(np.array([], dtype=int), np.array([], dtype=int)).tolist() == []


@given(st.lists(st.integers(0, 12)), st.integers(1, 30))
def test_cut(lengths, budget):
    batches = cut(np.array(lengths, dtype=np.int64), budget)
    assert [i for b in batches for i in range(len(lengths))[b]] == list(range(len(lengths)))
    for batch in batches:
        total = sum(lengths[batch])
        assert total <= budget or batch.stop - batch.start == 1
        assert batch.stop == len(lengths) or total + lengths[batch.stop] > budget


def test_keys_of_a_segment_are_its_prompt_and_itself():
    assert TWO.starts.tolist() == [0, 3]
    assert TWO.key_index().tolist() == [1, 2, 3, 4, 5, 0, 6, 7]
    assert Segments.alone(np.array([2, 1])).key_index().tolist() == [0, 1, 2]


@pytest.mark.parametrize(("window", "before"), [(None, -1), (1, 0), (16, 15)])
def test_what_the_varlen_kernel_is_given(window, before):
    calls = []

    def kernel(*arguments, **named):
        calls.append((arguments, named))
        return arguments[0]

    query, key, value = random_inputs(TWO)
    Varlen(TWO, CPU, kernel)(query, key, value, 0.5, window, None)
    ((q, k, v, cu_q, cu_k, max_q, max_k), named) = calls[0]
    assert q.equal(query) and k.equal(key[[1, 2, 3, 4, 5, 0, 6, 7]]) and v.equal(value[[1, 2, 3, 4, 5, 0, 6, 7]])
    assert (cu_q.tolist(), cu_k.tolist(), max_q, max_k) == ([0, 3, 5], [0, 5, 8], 3, 5)
    assert named == {"scale": 0.5, "window_size": (before, 0), "enable_gqa": True}


def test_arguments_are_those_of_torch():
    from inspect import signature

    from torch.nn.attention.varlen import varlen_attn

    assert list(signature(varlen_attn).parameters)[:7] == list(signature(reference_varlen).parameters)[:7]
    assert {"scale", "window_size", "enable_gqa"} <= set(signature(varlen_attn).parameters)


def test_one_tile():
    (tile,) = tiles(TWO, entries=30)
    assert tile.queries.tolist() == [[0, 1, 2], [3, 4, 4]]
    assert tile.keys.tolist() == [[1, 2, 3, 4, 5], [0, 6, 7, 7, 7]]
    assert (tile.own.tolist(), tile.seen.tolist()) == ([3, 2], [5, 3])
    rows = visible(tile, None, CPU).int().tolist()
    assert rows == [
        [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]],
        [[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]],
    ]
    assert visible(tile, 2, CPU)[0].int().tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]


def test_tiles_are_cut_at_the_limit_and_long_segments_in_pieces():
    first, second = tiles(TWO, entries=29)
    assert [t.queries.tolist() for t in (first, second)] == [[[0, 1, 2]], [[3, 4]]]
    pieces = tiles(TWO, entries=5)
    assert [(t.queries.tolist(), t.keys.tolist()) for t in pieces] == [
        ([[2]], [[1, 2, 3, 4, 5]]),
        ([[1]], [[1, 2, 3, 4]]),
        ([[0]], [[1, 2, 3]]),
        ([[4]], [[0, 6, 7]]),
        ([[3]], [[0, 6]]),
    ]


LENGTHS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=6)


def segments_of(prompts: list[int], rows: list[tuple[int, int]]) -> Segments:
    """Segments of (own tokens, number of a prompt) after prompts of these kept tokens."""
    kept = np.array(prompts)
    own, prompt = np.array(rows).T
    return Segments(own, kept[prompt], (np.cumsum(kept) - kept)[prompt], int(kept.sum()))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 7), min_size=3, max_size=3),
    LENGTHS,
    st.sampled_from([None, 1, 2, 5, 100]),
    st.sampled_from([1, 7, 60, 10_000]),
    st.sampled_from([None, 1.5]),
)
def test_kernels_agree_with_the_definition(prompts, rows, window, entries, softcap):
    segments = segments_of(prompts, rows)
    inputs = random_inputs(segments)
    expected = by_definition(segments, *inputs, 0.3, window, softcap)
    kernels = [Padded(segments, CPU, entries)]
    if softcap is None:
        kernels.append(Varlen(segments, CPU, reference_varlen))
    for kernel in kernels:
        for _ in range(2):  # the second call finds the masks of the first
            assert torch.allclose(kernel(*inputs, 0.3, window, softcap).double(), expected, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=3, max_size=3), LENGTHS, st.integers(1, 200))
def test_tiles_hold_every_query_once_within_the_limit(prompts, rows, entries):
    segments = segments_of(prompts, rows)
    queries = []
    for tile in tiles(segments, entries):
        assert tile.queries.size * tile.keys.shape[1] <= entries or tile.queries.size == 1
        queries += [q for row, n in zip(tile.queries, tile.own, strict=True) for q in row[:n].tolist()]
    assert sorted(queries) == list(range(int(segments.own.sum())))


def test_masks_are_kept_by_window_and_only_if_small(monkeypatch):
    made = []
    monkeypatch.setattr(attention, "visible", lambda *a: made.append(a[1]) or visible(*a))
    inputs = random_inputs(TWO)

    def count(limit: int) -> list:
        made.clear()
        monkeypatch.setattr(attention, "_KEPT_MASK_ENTRIES", limit)
        kernel = Padded(TWO, CPU, 1_000)
        for window in (None, 2, None, 2):
            kernel(*inputs, 1.0, window, None)
        return list(made)

    assert count(30) == [None, 2]
    assert count(29) == [None, 2, None, 2]


def test_segments_of_equal_lengths_are_one_row_each():
    segments = Segments(np.array([4, 4]), np.array([1, 1]), np.array([0, 0]), 1)
    (tile,) = tiles(segments, 1_000)
    assert [a.tolist() for a in astuple(tile)] == [
        [[0, 1, 2, 3], [4, 5, 6, 7]],
        [[0, 1, 2, 3, 4], [0, 5, 6, 7, 8]],
        [4, 4],
        [5, 5],
    ]


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "changes", "flash"),
    [
        ("cuda", torch.bfloat16, (8, 0), {}, True),
        ("cuda", torch.float16, (9, 0), {}, True),
        ("cuda", torch.float32, (9, 0), {}, False),
        ("cuda", torch.bfloat16, (7, 5), {}, False),
        ("cuda", torch.bfloat16, (9, 0), {"head_dim": 512}, False),
        ("cuda", torch.bfloat16, (9, 0), {"attn_logit_softcapping": 50.0}, False),
        ("cpu", torch.bfloat16, (9, 0), {}, False),
    ],
)
def test_kernel_of_a_device(monkeypatch, device, dtype, capability, changes, flash):
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, **changes)
    kernel = pick_kernel(torch.device(device), dtype, config)
    assert isinstance(kernel, partial) and kernel.func is (Varlen if flash else Padded)
