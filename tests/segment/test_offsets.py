"""Steps from a file: what covers the response is taken as it is, and each fault names file, line and trace."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift import params
from stepsift.core.errors import ParamsError, TableError
from stepsift.score.perturb import variants
from stepsift.segment import offsets, segment_table, split
from stepsift.segment.offsets import OffsetsFile, steps_from_file

TRACES = pl.DataFrame({"trace_id": ["a", "b"], "content_hash": ["h", "h2"], "response": ["So 4.\n\nYes 🙂", "x"]})


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


A = {"trace_id": "a", "offsets": [[0, 5], [5, 7], [7, 12]]}
B = {"content_hash": "h2", "offsets": [[0, 1]]}


def test_steps_are_taken_as_they_are(tmp_path: Path):
    """By trace or by text; a step of white space alone, which no rule would make, too."""
    steps = steps_from_file(TRACES, lines(tmp_path / "f.jsonl", A, "", B))
    assert steps[0] == ([0, 5, 7], [5, 7, 12], ["text"] * 3, [False] * 3)
    assert steps[1] == ([0], [1], ["text"], [False])


def test_parquet_says_the_same_and_the_row_of_the_trace_comes_first(tmp_path: Path):
    path = tmp_path / "f.parquet"
    rows = [
        A | {"content_hash": None},
        B | {"trace_id": None},
        {"trace_id": None, "content_hash": "h", "offsets": [[0, 12]]},
    ]
    pl.DataFrame(rows).write_parquet(path)
    assert steps_from_file(TRACES, path) == steps_from_file(TRACES, lines(tmp_path / "f.jsonl", A, B))


@pytest.mark.parametrize(
    ("spans", "says"),
    [
        ([[0, 5], [6, 12]], "has a gap before step 2: it starts at 6, not at 5"),
        ([[1, 12]], "has a gap before step 1: it starts at 1, not at 0"),
        ([[0, 5], [4, 12]], "has an overlap before step 2: it starts at 4, not at 5"),
        ([[5, 12], [0, 5]], "has a gap before step 1"),
        ([[0, 5], [5, 5], [5, 12]], "has no character in step 2, from 5 to 5"),
        ([[0, 5]], "has steps up to 5, and its response has 12 characters"),
        ([[0, 5], [5, 13]], "has steps up to 13, and its response has 12 characters"),
        ([[0, 15]], "has steps up to 15"),  # its length in UTF-8
        ([], "has no offsets"),
        (None, "has no offsets"),
        ("0-12", "has no offsets"),
        ([[0, 5.0], [5, 12]], r"has \[0, 5.0\] for step 1; give \[start, end\]"),
        ([[0, True]], r"has \[0, True\] for step 1; give"),
        ([0, 5, 12], "has 0 for step 1"),
        ([[0, 5, 12]], r"has \[0, 5, 12\] for step 1"),
        ([[0, None]], r"has \[0, None\] for step 1; give"),
    ],
)
def test_each_fault_names_file_line_and_trace(spans, says, tmp_path: Path):
    path = lines(tmp_path / "f.jsonl", B, {"trace_id": "a", "offsets": spans})
    with pytest.raises(TableError, match=rf"f\.jsonl, line 2: trace a {says}"):
        steps_from_file(TRACES, path)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{", r"line 2 is no JSON"),
        ("[" * 99_999, "line 2"),
        ({"offsets": [[0, 1]]}, "line 2 has neither a trace_id nor a content_hash"),
        ({"trace_id": 3, "offsets": [[0, 1]]}, "line 2 has neither"),
        ([1], "line 2 has neither"),
        (A, "line 2: trace a has offsets in line 1 already; keep one of the two"),
    ],
)
def test_rows_that_are_none(row, says, tmp_path: Path):
    with pytest.raises(TableError, match=says):
        OffsetsFile(lines(tmp_path / "f.jsonl", A, row))


def test_a_trace_without_offsets_and_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(TableError, match=r"has no offsets for trace b \(content_hash h2\); add a line for it"):
        steps_from_file(TRACES, lines(tmp_path / "f.jsonl", A))
    with pytest.raises(TableError, match=r"none\.jsonl cannot be read \(No such file or dir.*; put the file there"):
        steps_from_file(TRACES, tmp_path / "none.jsonl")
    (tmp_path / "bad.parquet").write_text("x")
    with pytest.raises(TableError, match=r"bad\.parquet is not a readable Parquet file"):
        steps_from_file(TRACES, tmp_path / "bad.parquet")
    (tmp_path / "latin.jsonl").write_bytes(b'{"trace_id": "\xff"}\n')
    with pytest.raises(TableError, match=r"latin\.jsonl cannot be read as JSON lines"):
        steps_from_file(TRACES, tmp_path / "latin.jsonl")


def test_a_changed_file_is_read_anew(tmp_path: Path):
    path = lines(tmp_path / "f.jsonl", A, B)
    assert len(steps_from_file(TRACES, path)[0][0]) == 3
    lines(path, A | {"offsets": [[0, 12]]}, B)
    assert len(steps_from_file(TRACES, path)[0][0]) == 1


def test_the_table_is_that_of_the_file_and_a_text_outside_of_it_is_cut_into_sentences(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/offsets").mkdir(parents=True)
    lines(tmp_path / "data/offsets/s.jsonl", A, B)
    settings = params.Segment(unit="offsets", offsets="data/offsets/s.jsonl")
    table = segment_table(TRACES, settings)
    assert table.select("trace_id", "step", "start", "end").rows() == [
        *(("a", 1, 0, 5), ("a", 2, 5, 7), ("a", 3, 7, 12)),
        ("b", 1, 0, 1),
    ]
    assert split("So 4. Yes.", settings) == split("So 4. Yes.", params.Segment())
    # Another unit of steps, for stability, is the rules' and not the file's.
    _, other = variants(params.Score(), settings)["unit-sentence"]
    assert (other.unit, other.offsets) == ("sentence", None)
    assert offsets.KIND in ("text",)


@pytest.mark.parametrize(
    "path", ["steps.jsonl", "data/offsets/../x.jsonl", "/data/offsets/a.jsonl", "data/offsets/a.csv"]
)
def test_a_file_that_dvc_would_not_see_is_refused(path):
    with pytest.raises(ParamsError, match=r"segment\.offsets"):
        params.parse({"segment": {"unit": "offsets", "offsets": path}})


@given(st.text(min_size=1, max_size=30), st.data())
def test_whatever_covers_a_response_is_accepted(tmp_path_factory, response, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(response)), max_size=6)) | {len(response)})
    spans = [[a, b] for a, b in zip([0, *cuts[:-1]], cuts, strict=True)]
    path = lines(tmp_path_factory.mktemp("o") / "f.jsonl", {"trace_id": "t", "offsets": spans})
    traces = pl.DataFrame({"trace_id": ["t"], "response": [response]})
    [(starts, ends, _, _)] = steps_from_file(traces, path)
    assert "".join(response[a:b] for a, b in zip(starts, ends, strict=True)) == response
