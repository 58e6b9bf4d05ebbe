"""The points of the ranking's chart."""

import polars as pl

from stepsift.params import Selector
from stepsift.select.ranking import chart

ROWS = [
    ("b", "lalp", "all", -1.0, -1.2, -0.8, 2),
    ("a", "lalp", "all", -0.5, -0.6, -0.4, 1),
    ("c", "lalp", "all", None, None, None, None),
    ("a", "lalp", "math", -0.1, -0.2, 0.0, 1),
    ("a", "galp", "all", -0.3, -0.4, -0.2, 1),
]


def selectors(**metrics: str) -> list[Selector]:
    """Selectors of these names by these metrics."""
    return [Selector(name=name, by=by) for name, by in metrics.items()]


def test_by_hand():
    names = ["teacher", "metric", "domain", "mean", "ci_low", "ci_high", "rank"]
    teachers = pl.DataFrame(ROWS, schema=names, orient="row")
    assert chart(teachers, selectors(mine="lalp", random="random")) == [
        {"teacher": "a", "of": "lalp", "mean": -0.5, "low": -0.6, "high": -0.4},
        {"teacher": "b", "of": "lalp", "mean": -1.0, "low": -1.2, "high": -0.8},
    ]
    assert [p["of"] for p in chart(teachers, selectors(galp="galp", more="galp", lalp="lalp"))] == [
        "galp",
        "lalp",
        "lalp",
    ]
