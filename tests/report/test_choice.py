"""Which prompts are shown."""

import polars as pl

from stepsift.report.choice import AT_RANDOM, CLEAR, CLOSE, CONTESTED, choose

SCHEMA = {"prompt_id": pl.String, "trace_id": pl.String, "margin": pl.Float64}


def curated(*rows: tuple[str, str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


LALP = curated(("p1", "a", 0.5), ("p2", "b", 0.1), ("p3", "c", 2.0), ("p4", "d", 0.7), ("p5", "e", None))
GALP = curated(("p1", "a", 1.0), ("p2", "b", 1.0), ("p3", "c", 1.0), ("p4", "x", 1.0), ("p5", "e", 1.0))
DRAW = curated(("p1", "q", None), ("p2", "q", None), ("p3", "q", None), ("p4", "q", None), ("p5", "q", None))


def test_each_kind_in_turn():
    found = choose({"draw": DRAW, "lalp": LALP, "galp": GALP}, ["draw"], 3)
    assert list(found) == ["p2", "p3", "p4"]
    assert (CLOSE in found["p2"], CLEAR in found["p3"], CONTESTED in found["p4"]) == (True, True, True)


def test_all_prompts_where_there_is_room_and_each_once():
    found = choose({"lalp": LALP, "galp": GALP}, [], 60)
    assert sorted(found) == ["p1", "p2", "p3", "p4", "p5"]
    assert all(AT_RANDOM in kinds for kinds in found.values())
    # Margins .1 and .5 are the closer half, .7 and 2 the other; p5 has none.
    assert {p for p, kinds in found.items() if CLOSE in kinds} == {"p1", "p2"}
    assert {p for p, kinds in found.items() if CLEAR in kinds} == {"p3", "p4"}


def test_lots_alone_choose_by_lot_alone():
    found = choose({"draw": DRAW}, ["draw"], 2)
    assert list(found.values()) == [[AT_RANDOM], [AT_RANDOM]]


def test_nothing_chosen_and_nothing_wanted():
    assert choose({}, [], 5) == {}
    assert choose({"lalp": LALP}, [], 0) == {}
