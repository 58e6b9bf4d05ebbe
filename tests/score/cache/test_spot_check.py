"""What a share of the cache is compared by when it is scored again: rows by hand."""

from pathlib import Path

import polars as pl
import pytest

from stepsift import params
from stepsift.core import tables
from stepsift.core.errors import ScoringError
from stepsift.score.cache.spot_check import SpotCheck

ROW = dict.fromkeys(tables.STEP_SCORES.schema, -4.0) | {"trace_id": "a", "step": 1, "n_tokens": 10, "n_first": 2}
ROW |= {"opens_branch": False, "local_rank": 500.0, "full_rank": 500.0}
OF_TWO = [ROW, ROW | {"step": 2, "n_tokens": 0} | {f"full_{s}": None for s in tables.SUMS}]


def frame(rows: list[dict]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=tables.STEP_SCORES.schema)


def changed(step: int = 1, **values: object) -> list[dict]:
    return [row | values if row["step"] == step else row for row in OF_TWO]


@pytest.mark.parametrize(
    ("again", "same"),
    [
        (changed(), True),
        # Ten tokens at a thousandth of a nat each.
        (changed(local_logprob=-4.009), True),
        (changed(local_logprob=-4.011), False),
        (changed(full_entropy=-3.989), False),
        # One rank per token, and two in a hundred.
        (changed(full_rank=519.0), True),
        (changed(full_rank=521.0), False),
        (changed(n_tokens=11), False),
        (changed(n_first=1), False),
        # A pass that the other has not.
        (changed(local_brier=None), False),
        (changed(step=2, full_logprob=-4.0), False),
        (changed()[:1], False),
        ([*changed(), ROW | {"step": 3}], False),
    ],
)
def test_scores_of_two_machines_may_differ_by_rounding_alone(again: list[dict], same: bool, tmp_path: Path):
    check = SpotCheck(params.Score(cache_check=1.0), tmp_path, seed=5)
    if same:
        check.compare(frame(OF_TWO), frame(again))
    else:
        with pytest.raises(ScoringError, match=r"trace a than the student, from step [123] on \(.*seed 5\)"):
            check.compare(frame(OF_TWO), frame(again))
    assert check.checked == same
