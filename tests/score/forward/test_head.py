"""From logits to values: hand-worked vocabularies of four entries, then float64 numpy over whole rows."""

import math

import numpy as np
import pytest
import torch

from stepsift.score.forward import head
from stepsift.score.forward.devices import wide_floats
from stepsift.score.forward.head import ModelLogits, Tile, token_values
from stepsift.score.forward.request import TokenValues


def values(logits: list[list[float]], targets: list[int]) -> TokenValues:
    return token_values(ModelLogits(len(logits[0])), torch.tensor(logits), torch.tensor(targets))


def test_four_entries():
    # Probabilities 1/6, 2/6, 3/6 and none.
    logits = [0.0, math.log(2), math.log(3), -math.inf]
    seen = values([logits] * 3, [0, 1, 2])
    np.testing.assert_allclose(seen.logprob, np.log([1 / 6, 1 / 3, 1 / 2]), atol=1e-7)
    assert seen.rank.tolist() == [3, 2, 1]
    entropy = math.log(6) / 6 + math.log(3) / 3 + math.log(2) / 2
    np.testing.assert_allclose(seen.entropy, [entropy] * 3, atol=1e-7)
    squares = (1 + 4 + 9) / 36
    np.testing.assert_allclose(seen.brier, [1 - 2 * p + squares for p in (1 / 6, 1 / 3, 1 / 2)], atol=1e-7)


def test_equal_logits_share_the_better_rank():
    assert values([[1, 1, 0, 1]] * 4, [0, 1, 2, 3]).rank.tolist() == [1, 1, 4, 1]


def test_one_sure_entry():
    seen = values([[0, 0, 2_000, 0]] * 2, [2, 0])
    assert seen.logprob.tolist() == [0.0, -2_000.0]
    assert seen.entropy.tolist() == [0.0, 0.0]
    assert seen.brier.tolist() == [0.0, 2.0]
    assert seen.finite()


@pytest.mark.parametrize("row", [[0, 1, math.nan, 0], [0, 1, math.inf, 0], [-math.inf, 1, 0, 0]])
def test_impossible_logits_are_seen(row: list[float]):
    assert not values([[1, 2, 3, 4], row], [0, 0]).finite()


def test_a_device_without_float64_is_a_little_less_exact(monkeypatch):
    logits = torch.randn((50, 5_000), generator=torch.Generator().manual_seed(0)) * 4
    targets = torch.arange(50) * 97
    exact = token_values(ModelLogits(5_000), logits, targets)
    monkeypatch.setattr(head, "wide_floats", lambda device: torch.float32)
    narrow = token_values(ModelLogits(5_000), logits, targets)
    for ours, theirs in zip(narrow.columns(), exact.columns(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert wide_floats(torch.device("mps")) == torch.float32
    assert wide_floats(torch.device("cpu")) == wide_floats(torch.device("cuda")) == torch.float64


@pytest.mark.parametrize(("rows", "entries"), [(512, 2**18), (5, 2_000), (37, 37 * 600), (1, 1)])
def test_tiles_change_nothing(monkeypatch, rows: int, entries: int):
    monkeypatch.setattr(head, "tile", lambda device: Tile(rows, entries))
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=(37, 3_000)) * rng.choice([0.1, 3, 30], size=(37, 1))).astype(np.float32)
    targets = rng.integers(0, 3_000, 37)
    seen = token_values(ModelLogits(3_000), torch.tensor(logits), torch.tensor(targets))

    z = logits.astype(np.float64)
    logp = (
        z - np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)) - z.max(axis=1, keepdims=True)
    )
    own = logp[np.arange(37), targets]
    np.testing.assert_allclose(seen.logprob, own, atol=1e-5)
    np.testing.assert_allclose(seen.entropy, -(np.exp(logp) * logp).sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(seen.brier, 1 - 2 * np.exp(own) + (np.exp(logp) ** 2).sum(axis=1), atol=1e-6)
    assert seen.rank.tolist() == [1 + int((row > row[t]).sum()) for row, t in zip(logits, targets, strict=True)]
