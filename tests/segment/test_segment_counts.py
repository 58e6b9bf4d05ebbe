"""Counts of the splitter, by hand."""

import json

import polars as pl
import pytest

from stepsift import params
from stepsift.core import tables
from stepsift.segment import KINDS, Counts, segment_table


def steps(*rows: tuple[str, int, int, int, str, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=tables.STEPS.schema, orient="row")


FIRST = steps(
    ("a", 1, 0, 10, "text", False),
    ("a", 2, 10, 30, "code", True),
    ("a", 3, 30, 40, "code", True),
    ("b", 1, 0, 5, "text", False),
)
SECOND = steps(("c", 1, 0, 7, "list", True))


def test_one_batch():
    counts = Counts()
    counts.add(FIRST)
    assert counts.metrics() == {
        "traces": 2,
        "steps": 4,
        "steps_per_trace": 2.0,
        # 10 + 20 + 10 + 5 = 45 characters in 4 steps.
        "characters_per_step": 11.25,
        # Two capped steps, of one trace.
        "traces_with_capped_step": 1,
        "kinds": {"code": 2, "text": 2},
    }


def test_batches_add_up_and_their_borders_do_not_matter():
    apart, together = Counts(), Counts()
    for frame in (FIRST, SECOND, steps()):
        apart.add(frame)
    together.add(pl.concat([SECOND, FIRST]))
    assert apart.metrics() == together.metrics()
    assert apart.metrics() == {
        "traces": 3,
        "steps": 5,
        "steps_per_trace": pytest.approx(5 / 3),
        "characters_per_step": pytest.approx(52 / 5),
        "traces_with_capped_step": 2,
        "kinds": {"code": 2, "list": 1, "text": 2},
    }


def test_nothing_has_no_ratios():
    counts = Counts()
    counts.add(steps())
    assert counts.metrics() == {
        "traces": 0,
        "steps": 0,
        "steps_per_trace": None,
        "characters_per_step": None,
        "traces_with_capped_step": 0,
        "kinds": {},
    }


def test_what_the_splitter_makes_is_counted_and_is_json():
    responses = ["It is so. And so.", "- one item\n- two items\n\n" + "x" * 40]
    traces = pl.DataFrame({"trace_id": ["a", "b"], "response": responses})
    counts = Counts()
    counts.add(segment_table(traces, params.Segment(max_step_chars=16)))
    metrics = counts.metrics()
    assert json.loads(json.dumps(metrics)) == metrics
    # Of 40 letters, 16 and 16 are cut off: three capped steps beside two list items and two sentences.
    assert (metrics["traces"], metrics["steps"], metrics["traces_with_capped_step"]) == (2, 7, 1)
    assert metrics["characters_per_step"] * 7 == sum(map(len, responses))
    assert metrics["kinds"] == {"list": 2, "text": 5}
    assert set(metrics["kinds"]) <= set(KINDS)
