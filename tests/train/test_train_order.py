"""What a student is shown, in order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stepsift import params
from stepsift.train.order import presentation

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=30)


def settings(**changes: object) -> params.Train:
    return params.Train.model_validate(changes)


def test_passes_by_hand() -> None:
    shown = presentation([5] * 4, settings(epochs=2.5), 0)
    assert len(shown) == 10
    assert sorted(shown[:4]) == sorted(shown[4:8]) == [0, 1, 2, 3]
    # The cut pass is the beginning of a whole one, and passes differ from one another.
    whole = presentation([5] * 4, settings(epochs=6), 0)
    assert whole[:10] == shown
    assert len({tuple(whole[i : i + 4]) for i in range(0, 24, 4)}) > 1
    assert shown == presentation([9] * 4, settings(epochs=2.5), 0)
    assert shown != presentation([5] * 4, settings(epochs=2.5), 1)


def test_a_budget_of_tokens_by_hand() -> None:
    assert len(presentation([7], settings(budget={"tokens": 20}), 0)) == 2
    assert len(presentation([7], settings(budget={"tokens": 21}), 0)) == 3
    # One example at least, however long.
    assert presentation([7], settings(budget={"tokens": 1}), 0) == [0]


@given(LENGTHS, st.integers(1, 200), st.integers(0, 5))
def test_a_budget_of_examples_is_exact_and_goes_round_evenly(lengths: list[int], examples: int, seed: int) -> None:
    shown = presentation(lengths, settings(budget={"examples": examples}), seed)
    assert len(shown) == examples
    counts = Counter(shown)
    assert max(counts.values()) - min(counts.get(i, 0) for i in range(len(lengths))) <= 1


@given(LENGTHS, st.integers(1, 2_000), st.integers(0, 5))
def test_a_budget_of_tokens_is_used_up_but_for_the_next_example(lengths: list[int], tokens: int, seed: int) -> None:
    shown = presentation(lengths, settings(budget={"tokens": tokens}), seed)
    used = sum(lengths[i] for i in shown)
    assert used <= tokens or len(shown) == 1
    # With more it begins the same way, and the next one would have been too long.
    more = presentation(lengths, settings(budget={"tokens": tokens + 2 * max(lengths)}), seed)
    assert more[: len(shown)] == shown
    assert used + lengths[more[len(shown)]] > tokens
