"""Files to rows: every format, and one case a reason for which a row is not read."""

import csv
import gzip
import io
import json
import os
import uuid
from datetime import date, time
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift import params
from stepsift.core.errors import SourceError
from stepsift.ingest.files import find as files
from stepsift.ingest.files import json_values, jsonl, tabular
from stepsift.ingest.files.decode import decode_row
from stepsift.ingest.layouts import detect
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError

SETTINGS = params.Ingest(max_line_bytes=2_000, max_depth=8)
GOOD = b'{"prompt": "p", "response": "r"}'


def read(tmp_path, name: str, data: bytes, settings=SETTINGS):
    """(row number, reason or "ok") of a file with these bytes."""
    (tmp_path / name).write_bytes(data)
    (file,), _ = files.find_files(tmp_path)
    return [(n, r.reason if isinstance(r, RowError) else "ok") for n, r in files.rows(file, settings)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"prompt": ', "broken_json"),
        (b'{"a": NaN}', "broken_json"),
        (b'{"a": -Infinity}', "broken_json"),
        (b'{"a": "tab\there"}', "broken_json"),
        (b'{"prompt": "\xff"}', "not_utf8"),
        (b'{"prompt": "\xed\xa0\x80"}', "not_utf8"),
        (b'{"prompt": "a\x00b"}', "nul_byte"),
        (b"[" * 1_000, "too_deep"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "too_deep"),
        (b'{"a": "' + b"x" * 2_000 + b'"}', "line_too_long"),
        (b'{"a": 1, "a": 1}', "duplicate_key"),
        (b'{"b": [{"a": 1, "c": {}, "a": 2}]}', "duplicate_key"),
        (b"[1, 2]", "not_an_object"),
        (b'"text"', "not_an_object"),
    ],
)
def test_one_bad_line_is_one_row(tmp_path, line, reason):
    rows = read(tmp_path, "a.jsonl", GOOD + b"\n" + line + b"\n" + GOOD)
    assert rows == [(1, "ok"), (2, reason), (3, "ok")]


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"{\n" + GOOD[1:], "broken_json", "breaks off after character 1 (Expecting"),
        (b"{\n" + GOOD[1:], "broken_json", "over several lines are read where the file's name ends in .json"),
        (b"[" + GOOD + b", " + GOOD + b"]", "not_an_object", "a list of 2 objects; a file that is one array"),
        (gzip.compress(GOOD, mtime=0), "not_utf8", "begins as a gzip file (.gz) does"),
        (pa.Codec("zstd").compress(GOOD, asbytes=True), "not_utf8", "begins as a zstd file (.zst) does"),
        (b"PAR1\x15\x04", "not_utf8", "begins as a Parquet file (.parquet) does"),
    ],
)
def test_a_file_of_another_kind_under_the_name_of_json_lines_is_said_to_be_one(tmp_path, data, reason, says):
    (tmp_path / "a.jsonl").write_bytes(data)
    (file,), _ = files.find_files(tmp_path)
    _, row = next(files.rows(file, SETTINGS))
    assert isinstance(row, RowError)
    assert (row.reason, says in row.detail) == (reason, True)


def test_a_huge_number(tmp_path):
    line = b'{"a": ' + b"9" * 5_000 + b"}"
    assert read(tmp_path, "a.jsonl", line, params.Ingest()) == [(1, "huge_number")]


def test_a_nesting_bomb_of_megabytes(tmp_path):
    settings = params.Ingest()
    assert read(tmp_path, "a.jsonl", b"[" * 4_000_000, settings) == [(1, "too_deep")]
    assert read(tmp_path, "a.jsonl", b'"' + b'\\"' * 2_000_000 + b"[" * 100, settings) == [(1, "broken_json")]


def test_brackets_in_text_are_no_nesting(tmp_path):
    line = json.dumps({"a": '{"[' * 50 + "\\", "b": [[], []]}).encode()
    assert read(tmp_path, "a.jsonl", line) == [(1, "ok")]


def test_blank_lines_bom_and_crlf(tmp_path):
    data = b"\xef\xbb\xbf" + GOOD + b"\r\n\r\n  \n" + GOOD + b"\r\n"
    assert read(tmp_path, "a.jsonl", data) == [(1, "ok"), (4, "ok")]


def test_the_limit_is_on_the_content(tmp_path):
    exact = b'{"a": "' + b"x" * 1_991 + b'"}'
    assert len(exact) == 2_000
    assert read(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + exact + b"\r\n" + exact)[:2] == [(1, "ok"), (2, "ok")]
    assert read(tmp_path, "a.jsonl", exact[:-2] + b'x"}\n' + GOOD) == [(1, "line_too_long"), (2, "ok")]


def test_a_long_line_is_never_held_whole():
    class Endless:
        """Counts the most bytes that were asked for at once."""

        asked = 0
        left = 1_000

        def readline(self, size=-1):
            self.asked = max(self.asked, size)
            self.left -= 1
            return b"x" * size if self.left > 0 else b""

    stream = Endless()
    ((number, found),) = jsonl.rows(stream, 1_000)  # pyright: ignore[reportArgumentType]
    assert (number, isinstance(found, RowError)) == (1, True)
    assert stream.asked <= 2**16


def test_gzip(tmp_path):
    lines = b"".join(json.dumps({"prompt": f"p{i}", "response": "r"}).encode() + b"\n" for i in range(5_000))
    whole = gzip.compress(lines, mtime=0)
    assert read(tmp_path, "a.jsonl.gz", whole) == [(n, "ok") for n in range(1, 5_001)]
    cut = read(tmp_path, "a.jsonl.gz", whole[: len(whole) // 2])
    assert cut[-1][1] == "corrupt_gzip"
    assert len(cut) > 1_000
    assert all(reason == "ok" for _, reason in cut[:-1])
    assert read(tmp_path, "a.jsonl.gz", b"no gzip") == [(1, "corrupt_gzip")]
    assert read(tmp_path, "a.jsonl.gz", whole + b"junk")[-1] == (5_001, "corrupt_gzip")
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    assert read(tmp_path, "a.jsonl.gz", bytes(broken))[-1][1] in ("corrupt_gzip", "broken_json")


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"[" + GOOD + b", " + GOOD + b"]", ["ok", "ok"]),
        (b" \n[\n]\n", []),
        (b"", []),
        (GOOD, ["ok"]),
        (GOOD + b"\n" + GOOD, ["ok", "ok"]),
        (b"\xef\xbb\xbf[" + GOOD + b"]", ["ok"]),
        (b"[" + GOOD + b", 5, " + GOOD + b"]", ["ok", "not_an_object", "ok"]),
        (b"[" + GOOD + b",, " + GOOD + b"]", ["ok", "broken_json"]),
        (b"[" + GOOD + b",]", ["ok", "broken_json"]),
        (b"[" + GOOD + b", " + GOOD[:9], ["ok", "broken_json"]),
        (b"[" + GOOD + b"", ["ok", "broken_json"]),
        (b'{"version": 2, "data": [' + GOOD + b", " + GOOD + b'], "by": {"data": [{}]}}', ["ok", "ok"]),
        (b'{"train": [' + GOOD + b'], "data": [' + GOOD + b"]}", ["ok", "ok"]),
        (b'{"train": [' + GOOD + b'], "test": [' + GOOD + b", " + GOOD + b"]}", ["ok", "not_an_object"]),
        (b'{"by": [{}], "data": [' + GOOD + b'], "of": [[], {"a": [{}]}]}', ["ok", "not_an_object", "not_an_object"]),
        (b'{"by": [{}], "data": [' + GOOD + b"]}" + GOOD, ["ok", "ok", "not_an_object"]),
        (b'{"by": [{}], "data": [' + GOOD, ["ok", "broken_json", "not_an_object"]),
        (b'{"by": [{}], "of": [{}], "prompt": "p"}', ["ok"]),
        (b'{"by": ["a"], "of": {"a": [{}]}, "data": [' + GOOD + b"]}", ["ok"]),
        (b'{"model": "m", "results": [' + GOOD + b", " + GOOD + b"]}", ["ok", "ok"]),
        (b'{"model": "m", "traces": [' + GOOD + b"]}\n", ["ok"]),
        (b'{"prompt": "p", "outputs": [{"text": "r"}, {"text": "s"}]}\n' + GOOD, ["ok", "ok"]),
        (b'{"q": "p", "outputs": [{"text": "r"}, {"text": "s"}]}\n' * 2, ["ok", "ok"]),
        (b'{\n"messages": [{}],\n"outputs": [{}, {}]}\n{"details": [' + GOOD + b", " + GOOD + b"]}", ["ok"] * 3),
        (b'{"data": ["no", "rows"], "prompt": "p", "response": "r"}', ["ok"]),
        (b'{"data": []}', ["ok"]),
        (b'{\n"prompt": "p",\n"response": "r"}\n{\n"prompt": "q"}', ["ok", "ok"]),
        (GOOD + b'\n{"prompt": "p" "response"}\n' + GOOD, ["ok", "broken_json", "ok"]),
        (b'{"prompt": "p" "response"}\n' + GOOD, ["broken_json", "ok"]),
        (b'[{"a": 1, "a": 2}, ' + GOOD + b', {"b": {"c": 1, "c": 1}}]', ["duplicate_key", "ok", "duplicate_key"]),
        (b'[{"a": "\xff"}, ' + GOOD + b"]", ["not_utf8"]),
        (b'[{"a": NaN}]', ["broken_json"]),
        (b"[" + GOOD + b"] x", ["ok", "broken_json"]),
        (b"[" + GOOD + b', {"a": "' + b"x" * 3_000 + b'"}, ' + GOOD + b"]", ["ok", "line_too_long", "ok"]),
        (b'[{"a": "]},[\\"", "b": [{}, []]}, ' + GOOD + b"]", ["ok", "ok"]),
        (b"[" * 500, ["broken_json"]),
        (b"[" + b"[" * 500 + b"]" * 500 + b"]", ["too_deep"]),
    ],
)
def test_json(tmp_path, data, rows):
    assert read(tmp_path, "a.json", data) == list(enumerate(rows, start=1))


def test_lists_beside_the_rows_are_named_and_counted(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"of": [[{}], {"a": [{}]}, {}], "train": [' + GOOD + b'], "test": [{}]}')
    (file,), _ = files.find_files(tmp_path)
    details = [row.detail for _, row in files.rows(file, SETTINGS) if isinstance(row, RowError)]
    assert [detail.partition("; ")[0] for detail in details] == [
        "not read: 2 objects of the list 'of', beside the rows",
        "not read: 1 object of the list 'test', beside the rows",
    ]


VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a"\\[]{},é')),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from('a"\\,')), inner, max_size=3),
    max_leaves=8,
)


class Drip(io.BytesIO):
    """A stream that gives few bytes at a time."""

    chunk = 1

    def read(self, size=-1):
        return super().read(min(size, self.chunk))


@given(st.lists(VALUES, max_size=6), st.booleans(), st.integers(1, 40), st.booleans())
def test_json_is_read_whatever_the_strings_hold_and_wherever_the_chunks_end(values, ascii_only, chunk, named):
    rows = [{"v": value} for value in values]
    stream = Drip(json.dumps({"a": 1, "data": rows} if named and rows else rows, ensure_ascii=ascii_only).encode())
    stream.chunk = chunk
    assert [row for _, row in json_values.rows(stream, params.Ingest())] == rows


def test_half_of_a_surrogate_pair_is_not_replaced(tmp_path):
    (tmp_path / "a.json").write_bytes(b'[{"a": "x \\ud800 y", "n": 1.5, "m": 7}]')
    (file,), _ = files.find_files(tmp_path)
    assert list(files.rows(file, SETTINGS)) == [(1, {"a": "x \ud800 y", "n": 1.5, "m": 7})]


def test_a_text_of_gigabytes_is_not_held():
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            self.given += size
            return (b'[{"a": "' if self.given == size else b"") + b"x" * size

    stream = Endless()
    ((number, row),) = json_values.rows(stream, SETTINGS)  # pyright: ignore[reportArgumentType]
    assert (number, row.reason) == (1, "line_too_long")
    assert stream.given < 2**21


@given(st.binary(max_size=300), st.booleans())
def test_junk_is_never_an_exception(data, lines):
    limits = params.Ingest(max_line_bytes=1_024)
    for number, row in jsonl.rows(io.BytesIO(data), 50) if lines else json_values.rows(io.BytesIO(data), limits):
        assert number >= 1
        if isinstance(row, bytes):
            assert len(row) <= 50


JSON_JUNK = st.lists(
    st.sampled_from(['{"a":', '"data":', "[", "]", "{", "}", ",", '"a"', ":", "1", "null", "\n", '"', "\\", "x"]),
    max_size=14,
).map("".join)


@given(JSON_JUNK)
def test_json_like_junk_is_never_an_exception(text):
    for _, row in json_values.rows(io.BytesIO(text.encode()), params.Ingest()):
        assert isinstance(row, dict | RowError)


ROWS = [{"prompt": f'p{i}, "é"\nand more', "response": "r"} for i in range(5)]


def table_bytes(form: str) -> bytes:
    if form in ("csv", "tsv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, ["prompt", "response"], delimiter="\t" if form == "tsv" else ",")
        writer.writeheader()
        writer.writerows(ROWS)
        return text.getvalue().encode()
    if form == "json":
        return json.dumps({"data": ROWS}, indent=1).encode()
    if form in ("arrow", "arrow stream"):
        table, sink = pa.Table.from_pylist(ROWS), pa.BufferOutputStream()
        new = pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream
        with new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
        return sink.getvalue().to_pybytes()
    return b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.ndjson", table_bytes("jsonl")),
        ("a.jsonl.zst", zstd(table_bytes("jsonl"))),
        ("a.jsonl.zst", zstd(table_bytes("jsonl")[:100]) + zstd(table_bytes("jsonl")[100:])),
        ("a.ndjson.gz", gzip.compress(table_bytes("jsonl"), mtime=0)),
        ("a.json", table_bytes("json")),
        ("a.json.zst", zstd(table_bytes("json"))),
        ("a.json", table_bytes("jsonl")),
        ("a.csv", table_bytes("csv")),
        ("a.CSV.gz", gzip.compress(table_bytes("csv"), mtime=0)),
        ("a.tsv", table_bytes("tsv")),
        ("data-00000-of-00001.arrow", table_bytes("arrow")),
        ("a.arrow", table_bytes("arrow stream")),
    ],
)
def test_one_content_in_every_format(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    (file,), _ = files.find_files(tmp_path)
    assert list(files.rows(file, SETTINGS)) == list(enumerate(ROWS, start=1))


@pytest.mark.parametrize(
    ("name", "data", "reasons"),
    [
        ("a.jsonl.zst", b"no zstd", ["corrupt_zstd"]),
        ("a.csv", b"", []),
        ("a.csv", b"prompt,response\np\np,r\np,r,x\n", ["broken_csv", "ok", "broken_csv"]),
        ("a.csv", b"prompt,prompt\np,r\n", ["broken_csv"]),
        ("a.csv", b'"prompt";"response"\n"p, or so";"r"\n', ["broken_csv"]),
        ("a.tsv", b"prompt,response\np\tq,r\n", ["broken_csv"]),
        ("a.csv", b'"a ""prompt"", \nin two lines"\np\n', ["ok"]),
        ("a.csv", b"prompt\n\xff\np\n", ["not_utf8", "ok"]),
        ("a.csv", b'prompt\n"' + b"x\n" * 3_000, ["broken_csv"]),
        ("a.arrow", b"ARROW1 and nothing", ["unreadable_arrow"]),
        ("a.arrow", b"", ["unreadable_arrow"]),
        ("a.arrow", table_bytes("arrow")[:-40], ["unreadable_arrow"]),
    ],
)
def test_files_that_break(tmp_path, name, data, reasons):
    assert read(tmp_path, name, data) == list(enumerate(reasons, start=1))


@pytest.mark.parametrize("head", [b"", b"prompt\np\n"])
def test_a_line_of_a_table_that_never_ends_is_not_read_whole(head):
    stream = io.BytesIO(head + b"x," * 5_000_000)
    rows = list(tabular.rows(stream, ",", max_bytes=1_000))
    assert [n for n, row in rows if isinstance(row, RowError) and row.reason == "line_too_long"] == [len(rows)]
    assert len(rows) == (2 if head else 1) and stream.tell() < 1_000_000


def test_zstd_that_breaks_off_keeps_what_came_before(tmp_path):
    whole = zstd(b"".join(b'{"prompt": "p%d"}\n' % i for i in range(200_000)))
    rows = read(tmp_path, "a.jsonl.zst", whole[: len(whole) * 3 // 4])
    assert rows[-1][1] == "corrupt_zstd" and len(rows) > 1_000


@pytest.mark.parametrize(
    "name", ["dataset_infos.json", "x/dataset_info.json", "x/state.json", "Dataset_Dict.json", "cache-1f.arrow"]
)
def test_side_files_of_hubs_are_left_out(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('{"prompt": "p"}')
    (tmp_path / "my_state.json").write_bytes(GOOD)
    known, others = files.find_files(tmp_path)
    assert ([f.name for f in known], others) == (["my_state.json"], [name])


def test_parquet(tmp_path):
    rows = [{"messages": [{"role": "user", "content": f"p{i}"}], "model": None} for i in range(150)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=40)
    (file,), _ = files.find_files(tmp_path)
    found = list(files.rows(file, SETTINGS))
    assert [n for n, _ in found] == list(range(1, 151))
    assert [row for _, row in found] == rows


def test_parquet_rows_that_are_not_read(tmp_path):
    texts = pa.array([b"fine", b"\xff\xfe", b"x" * 3_000]).view(pa.binary())
    utf8 = pa.StringArray.from_buffers(3, texts.buffers()[1], texts.buffers()[2])
    pq.write_table(pa.table({"prompt": utf8}), tmp_path / "a.parquet")
    (file,), _ = files.find_files(tmp_path)
    reasons = [row.reason if isinstance(row, RowError) else "ok" for _, row in files.rows(file, SETTINGS)]
    assert reasons == ["ok", "not_utf8", "line_too_long"]


def read_table(tmp_path, **columns):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (file,), _ = files.find_files(tmp_path)
    return [row for _, row in files.rows(file, SETTINGS)]


def test_parquet_columns_that_do_not_matter_cost_no_row(tmp_path):
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    rows = read_table(
        tmp_path,
        prompt=pa.array(["p"]),
        late=pa.array([2**62], pa.timestamp("us")),
        day=pa.array([2**30], pa.int32()).cast(pa.date32()),
        zone=pa.array([1], pa.timestamp("us", "Nowhere/Land")),
        twice=twice,
    )
    assert rows == [{"prompt": "p"}]


def test_parquet_times_are_text(tmp_path):
    (row,) = read_table(
        tmp_path,
        prompt=pa.array(["p"]),
        day=pa.array([date(2024, 1, 5)]),
        at=pa.array([1_704_416_523_000_000_001], pa.timestamp("ns")),
        zoned=pa.array([1_704_416_523], pa.timestamp("s", "UTC")),
        clock=pa.array([time(1, 2)]),
        none=pa.array([None], pa.date32()),
        took=pa.array([5], pa.duration("s")),
    )
    assert row == {
        **{"prompt": "p", "day": "2024-01-05", "at": "2024-01-05T01:02:03", "clock": "01:02:00"},
        "zoned": "2024-01-05T01:02:03+00:00",
    }


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_column_that_stands_twice_is_refused(tmp_path, suffix):
    table = pa.table([["p"], ["first"], ["last"]], names=["prompt", "response", "response"])
    if suffix == "parquet":
        pq.write_table(table, tmp_path / "a.parquet")
    else:
        with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
            writer.write_table(table)
    (file,), _ = files.find_files(tmp_path)
    [(_, error)] = files.rows(file, SETTINGS)
    assert isinstance(error, RowError)
    assert (error.reason, error.detail) == (
        f"unreadable_{suffix}",
        "the column 'response' stands more than once in the table",
    )


def test_parquet_value_that_cannot_be_read_is_one_row(tmp_path):
    late = pa.array([[2**62], [0]], pa.list_(pa.timestamp("us")))
    bad, good = read_table(tmp_path, prompt=pa.array(["p", "q"]), late=late)
    assert isinstance(bad, RowError)
    assert (bad.reason, "column late" in bad.detail) == ("wrong_value", True)
    assert isinstance(good, dict)


def test_parquet_string_view(tmp_path):
    rows = read_table(tmp_path, prompt=pa.array(["p", "x" * 3_000], pa.string_view()))
    assert rows[0] == {"prompt": "p"}
    assert isinstance(rows[1], RowError)
    assert rows[1].reason == "line_too_long"


def test_parquet_decimals_and_uuids_are_text(tmp_path):
    own = uuid.UUID(int=7)
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([own.bytes], pa.binary(16)))
    (data,) = read_table(tmp_path, prompt_id=ids, answer=pa.array([Decimal("18.50")]))
    row = Row(data)
    assert (row.scalar("prompt_id"), row.scalar("answer")) == (str(own), "18.50")


@pytest.mark.parametrize(
    "name", ["prompt_id", "answer", "teacher", "system", "domain", "licence", "label", "reasoning", "tests"]
)
@pytest.mark.parametrize("nan", [float("nan"), Decimal("NaN")])
def test_not_a_number_is_nothing(name, nan):
    row = {"prompt": "2 + 2?", "response": "It is 4."}
    [plain], [record] = (detect.read(Row(data)) for data in (row, row | {name: nan}))
    assert record == plain


def test_parquet_nan_among_numbers_is_nothing(tmp_path):
    answers = pa.array([4.5, float("nan"), None])
    rows = read_table(tmp_path, prompt=["p"] * 3, response=["r"] * 3, answer=answers)
    assert [detect.read(Row(row))[0].answer for row in rows] == ["4.5", None, None]


def test_parquet_floats_have_the_digits_that_name_them(tmp_path):
    inner = pa.struct([("truth", pa.float32()), ("of", pa.list_(pa.float32()))])
    (row,) = read_table(
        tmp_path,
        small=pa.array([42.1], pa.float32()),
        half=pa.array(np.array([0.1], np.float16)),
        large=pa.array([1e10], pa.float32()),
        none=pa.array([None], pa.float32()),
        double=pa.array([0.1 + 0.2]),
        several=pa.array([[42.1, None, 0.1]], pa.list_(pa.float32())),
        inner=pa.array([{"truth": 42.1, "of": [0.3]}], inner),
        vector=pa.array([[0.1] * 100], pa.list_(pa.float32())),
    )
    assert row["vector"] == [float(np.float32(0.1))] * 100
    assert row == {
        **{"small": 42.1, "half": 0.1, "large": 1e10, "none": None, "double": 0.1 + 0.2, "several": [42.1, None, 0.1]},
        **{"inner": {"truth": 42.1, "of": [0.3]}, "vector": row["vector"]},
    }
    assert Row({"answer": row["small"]}).scalar("answer") == "42.1"


def test_a_whole_number_beyond_the_range_of_floats_is_text():
    assert Row({"answer": 10**400}).scalar("answer") == f"1{'0' * 400}"


def test_an_infinite_answer_is_called_so():
    with pytest.raises(RowError, match="is infinite"):
        Row({"answer": json.loads("1e400")}).scalar("answer")


def test_parquet_that_is_none(tmp_path):
    assert read(tmp_path, "a.parquet", b"PAR1 and nothing") == [(1, "unreadable_parquet")]
    assert read(tmp_path, "a.parquet", b"") == [(1, "unreadable_parquet")]


def test_find(tmp_path):
    for name in (
        "b.jsonl",
        "sub/A.JSONL.gz",
        "sub/.hidden.jsonl",
        ".git/x.json",
        "README.md",
        "b.jsonl.dvc",
        "b.jsonl.rule.yaml",
        "sub.rule.yaml",
        ".gitkeep",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    known, others = files.find_files(tmp_path)
    assert [(f.name, f.stem) for f in known] == [("b.jsonl", "b"), ("sub/A.JSONL.gz", "A")]
    assert others == ["README.md"]  # and neither b.jsonl.dvc nor the rule files
    assert list(files.rule_files(tmp_path)) == ["b.jsonl", "sub"]


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"there is no folder .*nowhere"):
        files.find_files(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match=r"no trace file \(it holds notes.txt\)"):
        files.find_files(tmp_path)
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "gone")
    (file,), _ = files.find_files(tmp_path)
    with pytest.raises(SourceError, match=r"a.jsonl cannot be read"):
        list(files.rows(file, SETTINGS))


@pytest.mark.parametrize("name", ["pipe.jsonl", "pipe", "sub/pipe.parquet"])
def test_a_pipe_below_the_sources_is_a_sentence(tmp_path, name):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.jsonl").touch()
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceError, match=r"pipe.* below the sources is a pipe or a device, and no file; put a"):
        files.find_files(tmp_path)


def test_a_device_below_the_sources_is_a_sentence(tmp_path):
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with pytest.raises(SourceError, match=r"zero.jsonl' below the sources is a pipe or a device"):
        files.find_files(tmp_path)


def test_links_stay_within_the_sources_or_are_those_of_dvc(tmp_path):
    sources, cached = tmp_path / "sources", tmp_path / ".dvc/cache/files/md5/ab" / ("c" * 30)
    for path in (sources / "a.jsonl", cached, tmp_path / "elsewhere.jsonl", tmp_path / "folder/b.jsonl"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (sources / "b.jsonl").symlink_to("a.jsonl")
    (sources / "c.jsonl").symlink_to(cached)
    files.require_own_files(sources)
    for name, target in {"d.jsonl": "../elsewhere.jsonl", "e": "../folder"}.items():
        (sources / name).symlink_to(target)
        with pytest.raises(SourceError, match=r"below the sources leads to '.*', outside of them; copy the file there"):
            files.require_own_files(sources)
        (sources / name).unlink()
    files.require_own_files(tmp_path / "nowhere")


def test_many_keys_of_which_the_last_stands_twice_take_no_time():
    row = ("{" + "".join(f'"{i}": 0, ' for i in range(200_000)) + '"199999": 1}').encode()
    with pytest.raises(RowError, match="the key '199999' stands more than once"):
        decode_row(row, 64)


def test_the_texts_of_a_row_in_an_array_count_together(tmp_path):
    settings = params.Ingest(max_line_bytes=1_024, max_depth=8)
    fits, too_long = ({f"k{i}": "x" * 20 for i in range(n)} for n in (30, 60))
    rows = json.dumps([fits, too_long, fits]).encode()
    assert read(tmp_path, "a.json", rows, settings) == [(1, "ok"), (2, "line_too_long"), (3, "ok")]
    (tmp_path / "a.json").unlink()
    # As many bytes, as numbers: each counts, too.
    numbers = json.dumps([{"n": [1] * 10}, {"n": [1] * 1_200}]).encode()
    assert read(tmp_path, "b.json", numbers, settings) == [(1, "ok"), (2, "line_too_long")]
