"""Sums over a step's tokens, hand-worked; steps without tokens are null wherever they stand."""

import numpy as np
import polars as pl
import pytest

from stepsift import tables
from stepsift.scoring.sums import Scored, step_rows, step_sums
from stepsift.scoring.values import Scores, TokenValues

VALUES = TokenValues(
    logprob=np.array([-1.0, -2.0, -4.0, -8.0]),
    rank=np.array([1, 250, 3, 100]),
    entropy=np.array([0.5, 1.0, 2.0, 4.0]),
    brier=np.array([0.1, 0.2, 0.4, 0.8]),
)


@pytest.mark.parametrize(
    ("bounds", "logprob", "rank", "entropy", "brier", "first"),
    [
        ([0, 4], [-15], [204], [7.5], [1.5], [-1]),
        ([0, 1, 4], [-1, -14], [1, 203], [0.5, 7], [0.1, 1.4], [-1, -2]),
        ([0, 0, 2, 4], [None, -3, -12], [None, 101, 103], [None, 1.5, 6], [None, 0.3, 1.2], [None, -1, -4]),
        ([0, 2, 2, 4], [-3, None, -12], [101, None, 103], [1.5, None, 6], [0.3, None, 1.2], [-1, None, -4]),
        ([0, 2, 4, 4, 4], [-3, -12, None, None], [101, 103, None, None], [1.5, 6, None, None], [0.3, 1.2, None, None],
         [-1, -4, None, None]),
    ],
)  # fmt: skip
def test_sums(bounds, logprob, rank, entropy, brier, first):
    sums = step_sums(VALUES, np.array(bounds))
    expected = {"logprob": logprob, "rank": rank, "entropy": entropy, "brier": brier, "first_logprob": first}
    assert sums.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(sums[name], np.array(values, dtype=float), rtol=1e-15, err_msg=name)


def test_rows_of_traces_together_are_those_of_each_alone():
    other = TokenValues(*(c[:2] * 3 for c in VALUES.columns()))
    traces = [
        Scored("a", np.array([0, 0, 2, 4]), Scores(VALUES, None)),
        Scored("b", np.array([0, 1, 2]), Scores(other, other)),
        Scored("c", np.array([0, 4, 4]), Scores(None, VALUES)),
    ]
    together = step_rows(traces)
    assert together.equals(pl.concat(step_rows([t]) for t in traces))
    assert together.schema == tables.STEP_SCORES.schema
    assert together["trace_id"].to_list() == list("aaabbcc")
    assert together["step"].to_list() == [1, 2, 3, 1, 2, 1, 2]
    assert together["n_tokens"].to_list() == [0, 2, 2, 1, 1, 4, 0]
    assert together["local_logprob"].to_list() == [None, -3, -12, -3, -6, None, None]
    assert together["full_rank"].to_list() == [None, None, None, 3, 100, 204, None]
    assert step_rows([]).schema == tables.STEP_SCORES.schema
