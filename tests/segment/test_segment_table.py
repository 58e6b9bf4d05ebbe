"""The `steps` table: columns, order, offsets in characters, and the cover that is checked on every write."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from stepsift import params
from stepsift.core import tables
from stepsift.core.errors import TableError
from stepsift.segment import check_cover, segment_table

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def traces(*responses: str) -> pl.DataFrame:
    names = [f"t{i}" for i in range(len(responses))]
    return pl.DataFrame(
        {"trace_id": names, "response": responses}, schema={"trace_id": pl.String, "response": pl.String}
    )


def rows(*bounds: tuple[str, int, int, int]) -> pl.DataFrame:
    return pl.DataFrame([(*b, "text", False) for b in bounds], schema=tables.STEPS.schema, orient="row")


def test_rows():
    frame = segment_table(
        traces("It is so. 你好吗？很好的。", "👩‍💻 is here.\n\nSo it is."), params.Segment(min_step_chars=2)
    )
    assert frame.schema == pl.Schema(tables.STEPS.schema)
    assert frame.rows() == [
        ("t0", 1, 0, 9, "text", False),
        ("t0", 2, 9, 14, "text", False),
        ("t0", 3, 14, 18, "text", False),
        ("t1", 1, 0, 12, "text", False),
        ("t1", 2, 12, 23, "text", False),
    ]


def test_rows_are_sorted_whatever_the_order_of_the_traces(tmp_path):
    given = traces("One is here. Two is.", "Three is.", "Four is here.\nFive is.")
    frame = segment_table(given.reverse(), params.Segment())
    assert frame.equals(segment_table(given, params.Segment()))
    tables.write(tables.STEPS, frame, tmp_path / "steps.parquet")
    assert tables.read(tables.STEPS, tmp_path / "steps.parquet").equals(frame)


def test_no_traces():
    assert segment_table(traces(), params.Segment()).schema == pl.Schema(tables.STEPS.schema)
    assert segment_table(traces(""), params.Segment()).height == 0


WHOLE = [("t0", 1, 0, 2), ("t0", 2, 2, 4), ("t1", 1, 0, 3)]


def test_cover_holds():
    check_cover(rows(*WHOLE), traces("abcd", "äöü"))
    check_cover(rows(("t0", 1, 0, 1)), traces("a", ""))


BROKEN = {
    "gap": ([("t0", 1, 0, 1), *WHOLE[1:]], "gap"),
    "overlap": ([("t0", 1, 0, 3), *WHOLE[1:]], "gap"),
    "late start": ([("t0", 1, 1, 2), *WHOLE[1:]], "gap"),
    "empty step": ([("t0", 1, 0, 2), ("t0", 2, 2, 2), ("t0", 3, 2, 4), WHOLE[2]], "gap"),
    "number": ([("t0", 1, 0, 2), ("t0", 3, 2, 4), WHOLE[2]], "out of order"),
    "order": ([WHOLE[1], WHOLE[0], WHOLE[2]], "gap"),
    "early end": ([WHOLE[0], WHOLE[2]], "end at 2"),
    "late end": ([*WHOLE[:2], ("t1", 1, 0, 4)], "end at 4"),
    "no steps": (WHOLE[:2], "end at 0"),
    "unknown trace": ([*WHOLE, ("t2", 1, 0, 3)], "not among the traces"),
}


@pytest.mark.parametrize(("steps", "message"), BROKEN.values(), ids=BROKEN)
def test_cover_broken(steps, message):
    with pytest.raises(TableError, match=message):
        check_cover(rows(*steps), traces("abcd", "äöü"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real traces is not beside the repository")
@pytest.mark.parametrize("unit", ["sentence", "line", "paragraph"])
def test_real_traces(unit):
    """Cover on every trace (`segment_table` checks it), and steps of a length that is worth scoring."""
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            responses = [json.loads(line)["response"] for line in lines]
        names = [f"{path.name}:{i:05}" for i in range(len(responses))]
        given = pl.DataFrame({"trace_id": names, "response": responses}).filter(pl.col("response") != "")
        steps = segment_table(given, params.Segment(unit=unit))
        tables.validate(tables.STEPS, steps)
        mean_chars = (steps["end"] - steps["start"]).mean()
        capped = steps["capped"].mean()
        assert isinstance(mean_chars, float)
        assert isinstance(capped, float)
        assert (40 if unit == "sentence" else 100) < mean_chars < 300
        assert capped < (0.005 if unit == "sentence" else 0.1)
