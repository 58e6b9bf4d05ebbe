"""Mean log-probability by position: by hand, whatever the order of rows, and as a table."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precondition import by_position, table

TRACES = pl.DataFrame({"trace_id": ["a", "b"], "teacher": ["t", "u"]})


def steps_of(rows: list[tuple[str, int, int, float | None, float | None]]) -> pl.DataFrame:
    names = ["trace_id", "step", "n_tokens", "full_logprob", "local_logprob"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_by_hand():
    # Trace a: middles at 1/8, 4/8 and 7/8 of 8 tokens, thus parts 1, 2 (of two, halves belong to the later) and 2.
    steps = steps_of(
        [("a", 0, 2, -2.0, -4.0), ("a", 1, 4, -4.0, -6.0), ("a", 2, 2, -8.0, -6.0), ("b", 0, 1, -3.0, -5.0)]
    )
    found = by_position(steps, TRACES, parts=2)
    assert found["teacher"].to_list() == ["t", "t", "u"]
    assert found["part"].to_list() == [1, 2, 2]
    assert found["n_tokens"].to_list() == [2, 6, 1]
    assert found["full"].to_list() == [-1.0, -2.0, -3.0]
    assert found["windowed"].to_list() == [-2.0, -2.0, -5.0]


def test_a_trace_without_full_scores_is_left_out():
    found = by_position(steps_of([("a", 0, 2, None, -4.0), ("b", 0, 1, -3.0, -5.0)]), TRACES)
    assert found["teacher"].to_list() == ["u"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.randoms())
def test_every_token_is_in_one_part_whatever_the_order(sizes, random):
    rows = [("a", i, n, -2.0 * n, -3.0 * n) for i, n in enumerate(sizes)]
    random.shuffle(rows)
    found = by_position(steps_of(rows), TRACES)
    assert found["n_tokens"].sum() == sum(sizes)
    assert found["part"].is_between(1, 10).all()
    assert found["full"].to_list() == pytest.approx([-2.0] * len(found))
    assert found["windowed"].to_list() == pytest.approx([-3.0] * len(found))


def test_table_is_shortest_first_and_leaves_empty_parts_empty():
    steps = steps_of([("a", 0, 20, -20.0, -40.0), ("b", 0, 2, -6.0, -10.0)])
    lines = table(by_position(steps, TRACES), {"t": 20.0, "u": 2.0}, shown=(1, 6)).splitlines()
    assert lines[0] == "| teacher (tokens) | context | part 1 | part 6 |"
    assert lines[2] == "| u (2) | full |  | -3.00 |"
    assert lines[5] == "| t (20) | windowed |  | -2.00 |"
