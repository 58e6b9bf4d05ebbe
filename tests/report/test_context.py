"""The headline, worked out by hand."""

from typing import Any

import polars as pl
import pytest

from stepsift.report.context import headline

CURATED = {
    "lalp": pl.DataFrame({"trace_id": ["a", "b", "c", "d"]}),
    "galp": pl.DataFrame({"trace_id": ["a", "b", "c", "e"]}),
}


def said(*rows: tuple[str | None, int | None, float, float | None]) -> list[dict[str, Any]]:
    """Of (selector, seed, accuracy, standard error) on one task of 100 questions."""
    names = ["selector", "seed", "accuracy", "stderr"]
    schema = {"task": pl.String, "selector": pl.String, "seed": pl.Int64, "accuracy": pl.Float64, "stderr": pl.Float64}
    entries = [{"task": "quiz", "n": 100} | dict(zip(names, row, strict=True)) for row in rows]
    return headline(pl.DataFrame(entries, schema=schema | {"n": pl.Int64}), CURATED)


def test_seeds_are_averaged_and_the_best_mean_is_first():
    (entry,) = said((None, None, 0.1, 0.03), ("lalp", 0, 0.9, 0.03), ("lalp", 1, 0.3, 0.05), ("galp", 0, 0.5, 0.05))
    assert (entry["best"]["selector"], entry["best"]["accuracy"]) == ("lalp", pytest.approx(0.6))
    assert (entry["best"]["stderr"], entry["best"]["seeds"]) == (pytest.approx(0.04), 2)
    assert (entry["second"]["selector"], entry["untrained"]["accuracy"]) == ("galp", 0.1)
    assert entry["same"] == 0.75


@pytest.mark.parametrize(("galp", "apart"), [(0.38, True), (0.4, False)])
def test_apart_is_beyond_two_standard_errors_of_the_difference(galp: float, apart: bool):
    # 1.96 * sqrt(0.06^2 + 0.08^2) is 0.196.
    (entry,) = said(("lalp", 0, 0.59, 0.06), ("galp", 0, galp, 0.08))
    assert entry["apart"] is apart


def test_one_selector_no_error_and_nothing_trained():
    (entry,) = said(("lalp", 0, 0.5, None))
    assert (entry["second"], entry["apart"], entry["same"], entry["untrained"]) == (None, None, None, None)
    (entry,) = said(("lalp", 0, 0.5, None), ("galp", 0, 0.4, 0.1))
    assert (entry["apart"], entry["same"]) == (None, 0.75)
    assert said((None, None, 0.5, 0.1)) == []
