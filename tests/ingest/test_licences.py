"""The licence of a row: its own field first, then its file's rule; and what sources.json says of each file."""

import hashlib
import json
from pathlib import Path

import pytest

from stepsift import params
from stepsift.core import table_files, tables
from stepsift.ingest.layouts import detect as layouts
from stepsift.ingest.record import Record
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError
from stepsift.ingest.run import ingest

ROW = {"prompt": "2 + 2?", "response": "4"}


def licence_of(more: dict, fields: dict | None = None) -> str | None:
    (record,) = layouts.read(Row(ROW | more, params.Rule(fields=fields or {})))
    assert isinstance(record, Record)
    return record.licence


@pytest.mark.parametrize(
    ("more", "fields", "licence"),
    [
        ({}, None, None),
        ({"licence": "MIT"}, None, "MIT"),
        ({"license": " Apache-2.0\n"}, None, "Apache-2.0"),
        ({"licence": "MIT", "license": "Apache-2.0"}, None, "MIT"),
        ({"license": "  "}, None, None),
        # A field that only looks like a licence may hold anything.
        ({"license": {"key": "mit"}}, None, None),
        ({"license": 2}, None, None),
        ({"license": "MIT", "meta": {"terms": " CC0-1.0 "}}, {"licence": "meta.terms"}, "CC0-1.0"),
        ({"license": "MIT"}, {"licence": "meta.terms"}, None),
    ],
)
def test_licence_of_a_row(more, fields, licence):
    assert licence_of(more, fields) == licence


def test_a_field_that_is_named_as_the_licence_must_be_text():
    with pytest.raises(RowError, match="wrong_type: licence: field 'terms' is a number"):
        layouts.read(Row(ROW | {"terms": 3}, params.Rule(fields={"licence": "terms"})))


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"instruction": "q", "output": "a"},
        {"problem": "q", "generations": ["a", "b"]},
    ],
)
def test_every_layout_carries_it(row):
    records = layouts.read(Row(row | {"license": "MIT"}))
    assert [r.licence for r in records if isinstance(r, Record)] == ["MIT"] * len(records) and records


FILES = {
    "b.jsonl": [
        ROW | {"teacher": "a", "license": "MIT"},
        ROW | {"teacher": "b"},
        ROW | {"teacher": "c", "license": "unknown"},
        ROW | {"teacher": "d", "response": 3},
    ],
    "sub/a.jsonl": [ROW | {"teacher": "e"}, ROW | {"teacher": "f", "licence": "Odd terms: §1"}],
    # All of it stands in b.jsonl.
    "z.jsonl": [ROW | {"teacher": "a", "license": "GPL-3.0"}, ROW | {"teacher": "g"}],
}
SETTINGS = params.Ingest(files=(params.FileRule(match="sub/*", licence="CC-BY-4.0"),))


def run(tmp_path: Path, files: dict[str, list[dict]]) -> tuple[dict, bytes]:
    """(teacher to licence and source of the traces, sources.json)."""
    for name, rows in files.items():
        path = tmp_path / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ingest(tmp_path / "sources", tmp_path / "out", SETTINGS)
    traces = table_files.read(tables.TRACES, tmp_path / "out" / "traces.parquet")
    of = {teacher: (licence, source) for teacher, licence, source in traces["teacher", "licence", "source"].rows()}
    return of, (tmp_path / "out" / "sources.json").read_bytes()


def test_the_own_field_wins_over_the_rule_of_the_file(tmp_path):
    of, _ = run(tmp_path, FILES)
    assert of == {
        "a": ("MIT", "b.jsonl"),
        "b": (None, "b.jsonl"),
        "c": ("unknown", "b.jsonl"),
        "e": ("CC-BY-4.0", "sub/a.jsonl"),
        "f": ("Odd terms: §1", "sub/a.jsonl"),
        "g": (None, "z.jsonl"),
    }


def test_sources_json(tmp_path):
    _, written = run(tmp_path, FILES)
    said = json.loads(written)
    assert list(said) == ["b.jsonl", "sub/a.jsonl", "z.jsonl"]
    for name, about in said.items():
        content = (tmp_path / "sources" / name).read_bytes()
        assert (about.pop("md5"), about.pop("bytes")) == (hashlib.md5(content).hexdigest(), len(content))
    assert said == {
        "b.jsonl": {"rows": 4, "kept": 3, "rejected": 1, "licences": {"MIT": 1, "unknown": 2}},
        "sub/a.jsonl": {"rows": 2, "kept": 2, "rejected": 0, "licences": {"CC-BY-4.0": 1, "Odd terms: §1": 1}},
        "z.jsonl": {"rows": 2, "kept": 1, "rejected": 1, "licences": {"unknown": 1}},
    }


def test_the_same_sources_give_the_same_bytes(tmp_path):
    _, one = run(tmp_path / "one", FILES)
    _, two = run(tmp_path / "two", dict(reversed(FILES.items())))
    assert one == two
