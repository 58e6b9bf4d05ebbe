"""The `steps` table: columns, order, offsets in characters, and the cover that is checked on every write."""

import gzip
import itertools
import json
from pathlib import Path

import polars as pl
import pytest

from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import TableError
from stepsift.segment import check_cover, segment_table, segment_tables
from stepsift.segment import workers as segment_workers

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
    table_files.write(tables.STEPS, frame, tmp_path / "steps.parquet")
    assert table_files.read(tables.STEPS, tmp_path / "steps.parquet").equals(frame)


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


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(tmp_path):
    text = "First, we add 12 and 30. Is it 42? Yes!\n\n日本語 の 文。 So x = 4.\n"
    frames = [
        pl.DataFrame(
            {"trace_id": [f"{n}-{i}" for i in range(5)], "response": [text * (1 + (i + n) % 3) for i in range(5)]}
        )
        for n in range(9)
    ]
    written = {}
    for workers in (1, 3):
        path = tmp_path / f"{workers}.parquet"
        with table_files.Writer(tables.STEPS, path) as writer:
            for steps in segment_tables(iter(frames), params.Segment(workers=workers)):
                writer.write(steps)
        written[workers] = path.read_bytes()
    assert written[3] == written[1]
    assert pl.read_parquet(tmp_path / "3.parquet").height > 9 * 5 * 4


def test_a_pool_of_one_frame_and_a_single_worker_start_no_process(monkeypatch):
    monkeypatch.setattr(segment_workers.processes, "start", lambda *_: pytest.fail("a process was started"))
    frame = traces("abcd", "äöü")
    for frames, workers in (([frame], None), ([frame], 7), ([frame, frame], 1), ([], 2)):
        made = list(segment_tables(iter(frames), params.Segment(workers=workers)))
        assert [steps.rows() for steps in made] == [segment_table(f, params.Segment()).rows() for f in frames]


@pytest.mark.slow
def test_what_a_worker_finds_wrong_is_said_and_frames_are_read_a_few_at_a_time(monkeypatch):
    read = []

    def frames():
        for n in range(40):
            read.append(n)
            yield traces("abcd") if n != 3 else traces("abcd", "x").with_columns(trace_id=pl.lit("twice"))

    made = segment_tables(frames(), params.Segment(workers=2))
    with pytest.raises(TableError, match="out of order"):
        list(made)
    assert len(read) <= 3 + 1 + 2 * 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real traces is not beside the repository")
@pytest.mark.parametrize("unit", ["sentence", "line", "paragraph"])
def test_real_traces(unit):
    """Cover on every trace (`segment_table` checks it), and steps of a length that is worth scoring.

    Lines and paragraphs are tried on every fourth trace.
    """
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            some = itertools.islice(lines, 0, None, 1 if unit == "sentence" else 4)
            responses = [json.loads(line)["response"] for line in some]
        names = [f"{path.name}:{i:05}" for i in range(len(responses))]
        given = pl.DataFrame({"trace_id": names, "response": responses}).filter(pl.col("response") != "")
        steps = segment_table(given, params.Segment(unit=unit))
        table_files.validate(tables.STEPS, steps)
        mean_chars = (steps["end"] - steps["start"]).mean()
        capped = steps["capped"].mean()
        assert isinstance(mean_chars, float)
        assert isinstance(capped, float)
        assert (40 if unit == "sentence" else 100) < mean_chars < 300
        assert capped < (0.005 if unit == "sentence" else 0.1)
