"""Reading and writing tables: what is refused, and that the same rows give the same bytes."""

import itertools
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsift.core import disk, table_files, tables
from stepsift.core.errors import TableError

STEPS = pl.DataFrame(
    [("a", 1, 0, 5, "sentence", False), ("a", 2, 5, 9, "sentence", True), ("b", 1, 0, 3, "line", False)],
    schema=tables.STEPS.schema,
    orient="row",
)
PROMPT = {
    "prompt_id": "p1",
    "prompt": [{"role": "user", "content": "What is 7 * 6? 🙂"}],
    "domain": None,
    "answer": "42",
    "answer_kind": "math",
    "tests": None,
}
PROMPTS = pl.DataFrame([PROMPT, PROMPT | {"prompt_id": "p2", "answer": None}], schema=tables.PROMPTS.schema)


def many_steps(n: int) -> pl.DataFrame:
    ids = [f"t{i // 7:06d}" for i in range(n)]
    step = [i % 7 + 1 for i in range(n)]
    frame = pl.DataFrame({"trace_id": ids, "step": step, "start": [5 * (s - 1) for s in step]})
    kind = pl.when(pl.col("step") % 3 == 0).then(pl.lit("line")).otherwise(pl.lit("sentence"))
    frame = frame.with_columns(end=pl.col("start") + 5, kind=kind, capped=pl.col("step") == 4)
    return frame.select(pl.col(c).cast(t) for c, t in tables.STEPS.schema.items())


# --- round trip


@pytest.mark.parametrize(
    ("table", "frame"),
    [(tables.STEPS, STEPS), (tables.PROMPTS, PROMPTS)]
    + [(t, pl.DataFrame(schema=t.schema)) for t in tables.ALL.values()],
    ids=lambda v: v.name if isinstance(v, tables.Table) else "",
)
def test_what_is_read_is_what_was_written(table: tables.Table, frame: pl.DataFrame, tmp_path: Path):
    path = tmp_path / "below" / "table.parquet"
    table_files.write(table, frame, path)
    assert table_files.read(table, path).equals(frame)
    assert table_files.read(table, path).schema == frame.schema
    assert [p.name for p in path.parent.iterdir()] == ["table.parquet"]


def test_rows_are_sorted_and_columns_ordered(tmp_path: Path):
    shuffled = STEPS.select(*reversed(STEPS.columns)).sample(fraction=1, shuffle=True, seed=5)
    table_files.write(tables.STEPS, shuffled, tmp_path / "t.parquet")
    assert table_files.read(tables.STEPS, tmp_path / "t.parquet").equals(STEPS)


def test_nulls_come_first_in_a_key(tmp_path: Path):
    rows = [("s", 1, None, None, "bad", "x"), ("s", 1, "t", None, "bad", "x"), ("s", 1, "t", "u", "bad", "x")]
    frame = pl.DataFrame(rows, schema=tables.REJECTED.schema, orient="row")
    table_files.write(tables.REJECTED, frame.reverse(), tmp_path / "r.parquet")
    assert table_files.read(tables.REJECTED, tmp_path / "r.parquet").equals(frame)


def test_same_rows_that_stand_twice_are_allowed_without_a_unique_key(tmp_path: Path):
    rows = [("s", 1, "t", None, "bad", "x")] * 2
    frame = pl.DataFrame(rows, schema=tables.REJECTED.schema, orient="row")
    table_files.write(tables.REJECTED, frame, tmp_path / "r.parquet")
    assert table_files.read(tables.REJECTED, tmp_path / "r.parquet").height == 2


def test_metrics_are_further_columns(tmp_path: Path):
    row = {"trace_id": "a", "prompt_id": "p", "teacher": "t", "n_steps": 2, "n_tokens": 9, "lalp": -0.5, "galp": None}
    frame = pl.DataFrame([row], schema=tables.TRACE_SCORES.schema | {"lalp": pl.Float64(), "galp": pl.Float64()})
    table_files.write(tables.TRACE_SCORES, frame, tmp_path / "s.parquet")
    seen = table_files.read(tables.TRACE_SCORES, tmp_path / "s.parquet")
    assert seen.columns == [*tables.TRACE_SCORES.schema, "galp", "lalp"]
    with pytest.raises(TableError, match="column lalp is String, it must be Float64"):
        table_files.validate(tables.TRACE_SCORES, frame.with_columns(lalp=pl.lit("x")))
    with (
        pytest.raises(TableError, match=r"trace_scores: .*galp"),
        table_files.Writer(tables.TRACE_SCORES, tmp_path / "x.parquet") as writer,
    ):
        writer.write(frame)
        writer.write(frame.with_columns(trace_id=pl.lit("b")).drop("galp"))


# --- the same bytes


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 2_500), max_size=12))
def test_bytes_do_not_depend_on_batches(cuts: list[int], tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("bytes")
    frame = many_steps(2_500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "ROW_GROUP_ROWS", 1_000)
        table_files.write(tables.STEPS, frame, folder / "whole.parquet")
        edges = [0, *sorted(cuts), frame.height]
        with table_files.Writer(tables.STEPS, folder / "parts.parquet") as writer:
            for start, end in itertools.pairwise(edges):
                writer.write(frame[start:end])
    assert writer.rows == frame.height
    assert (folder / "parts.parquet").read_bytes() == (folder / "whole.parquet").read_bytes()
    sizes = pq.ParquetFile(folder / "whole.parquet").metadata
    assert [sizes.row_group(i).num_rows for i in range(sizes.num_row_groups)] == [1_000, 1_000, 500]


def test_bytes_of_long_texts_do_not_depend_on_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pages of Parquet are cut by bytes: pieces of a frame must not show in them."""
    monkeypatch.setattr(table_files, "ROW_GROUP_BYTES", 2**20)
    row = {
        "content_hash": "",
        "prompt_id": "p",
        "teacher": "t",
        "verdict": "correct",
        "label": None,
        "source": "s",
        "source_line": 1,
    }
    rows = [row | {"trace_id": f"t{i:05d}", "response": f"{i} 🙂 " * (400 + 37 * (i % 50))} for i in range(180)]
    frame = pl.DataFrame(rows, schema=tables.TRACES.schema)
    table_files.write(tables.TRACES, frame, tmp_path / "whole.parquet")
    for size in (1, 7, 90):
        with table_files.Writer(tables.TRACES, tmp_path / "parts.parquet") as writer:
            for part in frame.iter_slices(size):
                writer.write(part)
        assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes(), size
    groups = list(table_files.scan(tables.TRACES, tmp_path / "whole.parquet"))
    assert len(groups) > 1 and pl.concat(groups).equals(frame)
    text = [g["response"].str.len_bytes().sum() for g in groups]
    assert max(text) < 1.04 * 2**20 and min(text[:-1]) > 0.96 * 2**20


# --- what is refused


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (STEPS.drop("kind"), r"columns missing \['kind'\], columns not in the schema \[\]"),
        (STEPS.drop("trace_id"), r"columns missing \['trace_id'\]"),
        (STEPS.with_columns(extra=1), r"columns not in the schema \['extra'\]"),
        (STEPS.with_columns(pl.col("step").cast(pl.Int64)), "column step is Int64, it must be Int32"),
        (STEPS.with_columns(kind=pl.lit(None, pl.String)), "column kind holds 3 nulls"),
        (STEPS.with_columns(end=pl.col("start")), "'a step is not empty' does not hold on .*'trace_id': 'a'"),
        (STEPS.with_columns(step=pl.col("step") - 1), "'steps are numbered from 1 and start at offset 0'"),
        (pl.concat([STEPS, STEPS[:1]]), r"the key {'trace_id': 'a', 'step': 1} stands more than once"),
        (PROMPTS.with_columns(answer_kind=pl.lit("maths")), "answer_kind is 'maths', it must be one of .*'math'"),
        (PROMPTS.with_columns(prompt=pl.lit([], tables.MESSAGES)), "a prompt has at least one message"),
    ],
)
def test_broken_invariants_are_refused(change: pl.DataFrame, says: str, tmp_path: Path):
    table = tables.PROMPTS if "prompt" in change.columns else tables.STEPS
    with pytest.raises(TableError, match=f"table {table.name}: .*{says}"):
        table_files.write(table, change, tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_rows_out_of_order_are_refused(tmp_path: Path):
    with pytest.raises(TableError, match="rows are not sorted by trace_id, step"):
        table_files.validate(tables.STEPS, STEPS.reverse())
    for second, says in ((STEPS[:1], "not sorted"), (STEPS[1:2], "stands more than once")):
        with pytest.raises(TableError, match=says), table_files.Writer(tables.STEPS, tmp_path / "t.parquet") as writer:
            writer.write(STEPS[:2])
            writer.write(second)
    assert list(tmp_path.iterdir()) == []


# --- files


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table_files, "ROW_GROUP_ROWS", 2)  # so that something is on disk when it fails
    path = tmp_path / "t.parquet"
    table_files.write(tables.STEPS, STEPS[:1], path)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), table_files.Writer(tables.STEPS, path) as writer:
        writer.write(STEPS)
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    with pytest.raises(OSError, match="disk full"), table_files.Writer(tables.STEPS, path) as writer:
        writer.write(STEPS)
        monkeypatch.setattr(pq.ParquetWriter, "write_table", _disk_full)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def _disk_full(*_args, **_kwargs):
    raise OSError("disk full")


def test_files_of_another_kind_are_refused(tmp_path: Path):
    path = tmp_path / "t.parquet"
    with pytest.raises(TableError, match=r"no file .*t\.parquet; run the stage"):
        table_files.read(tables.STEPS, path)
    table_files.write(tables.STEPS, STEPS, path)
    with pytest.raises(TableError, match="holds table steps version 1, needed is prompts version 1"):
        table_files.read(tables.PROMPTS, path)
    newer = tables.Table("steps", 2, tables.STEPS.schema, tables.STEPS.key)
    with pytest.raises(TableError, match=r"holds table steps version 1, needed is steps version 2; run 'dvc repro'"):
        table_files.read(newer, path)
    STEPS.write_parquet(path)
    with pytest.raises(TableError, match=r"holds table \? version \?"):
        table_files.read(tables.STEPS, path)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "page"])
def test_damaged_files_are_refused(damage: str, tmp_path: Path):
    path = tmp_path / "t.parquet"
    table_files.write(tables.STEPS, many_steps(3_000), path)
    content = path.read_bytes()
    page = b"\xff" * 400
    path.write_bytes(
        {"empty": b"", "text": b"trace_id\n", "cut": content[:-20], "page": content[:4] + page + content[404:]}[damage]
    )
    with pytest.raises(TableError, match=r"t\.parquet is not a readable Parquet file"):
        table_files.read(tables.STEPS, path)


def test_text_is_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "below" / "note.txt"
    disk.write_text("日本\r\n", path)
    assert path.read_bytes() == "日本\r\n".encode()
    with pytest.raises(ZeroDivisionError):
        disk.write_lines((str(1 // i) for i in (1, 0)), path)
    assert path.read_bytes() == "日本\r\n".encode()
    disk.write_lines(["a\n", "b\n"], path)
    assert path.read_bytes() == b"a\nb\n"
    assert [p.name for p in path.parent.iterdir()] == ["note.txt"]


# --- reading in pieces


def test_scan_yields_row_groups_and_chosen_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table_files, "ROW_GROUP_ROWS", 10)
    frame = many_steps(25)
    table_files.write(tables.STEPS, frame, tmp_path / "t.parquet")
    assert [f.height for f in table_files.scan(tables.STEPS, tmp_path / "t.parquet")] == [10, 10, 5]
    chosen = pl.concat(table_files.scan(tables.STEPS, tmp_path / "t.parquet", ["trace_id", "end"]))
    assert chosen.equals(frame.select("trace_id", "end"))


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=8), cuts=st.lists(st.integers(0, 70), max_size=8))
def test_groups_do_not_depend_on_row_groups(counts: list[int], cuts: list[int]):
    frame = pl.DataFrame({"trace_id": [f"t{i}" for i, n in enumerate(counts) for _ in range(n)]}).with_row_index("n")
    edges = [0, *sorted({min(c, frame.height) for c in cuts}), frame.height]
    parts = [frame[a:b] for a, b in itertools.pairwise(edges) if b > a]
    seen = list(table_files.groups(iter(parts), "trace_id"))
    assert [value for value, _ in seen] == [f"t{i}" for i in range(len(counts))]
    assert [rows.height for _, rows in seen] == counts
    assert pl.concat([rows for _, rows in seen]).equals(frame)
    assert pl.concat(table_files.regroup(iter(parts), "trace_id")).equals(frame)


def test_groups_of_nothing():
    assert list(table_files.groups(iter([]), "trace_id")) == []
