"""The unit `offsets`: steps from a file that another tool or a person made, accepted only if they cover each response.

A file of JSON lines or Parquet with a row per trace: `trace_id`, or `content_hash` where the same text is to be cut
alike whoever wrote it, and `offsets`, a list of [start, end] in characters (Unicode code points) of the response as
table traces has it.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core.errors import TableError
from stepsift.core.text import count, error_line, one_line

KEYS = ("trace_id", "content_hash")
KIND = "text"
"""Kind of a step whose maker did not say what it is."""
Row = tuple[str, list[int], int]
"""Trace id or content hash, ends of its steps, and the line (JSON lines) or row (Parquet) that says so, from 1."""


class OffsetsFile:
    """The steps that a file gives, by trace id or content hash."""

    def __init__(self, path: Path):
        """Read all of it; raises TableError, which names file, line and trace, where a row is no chain of steps."""
        self.path = path
        self._ends: dict[str, tuple[list[int], int]] = {}
        for key, ends, line in _rows(path):
            if key in self._ends:
                first = self._ends[key][1]
                raise _fault(path, line, key, f"has offsets in line {first} already; keep one of the two")
            self._ends[key] = ends, line

    def ends(self, trace_id: str, content_hash: str | None, response: str) -> list[int]:
        """End offsets of the steps of one response; raises TableError where the file has none, or they do not end where
        the response does. A row for the trace itself comes before one for its text."""
        found = self._ends.get(trace_id) or (self._ends.get(content_hash) if content_hash is not None else None)
        if found is None:
            raise TableError(
                f"{self.path} has no offsets for trace {trace_id} (content_hash {content_hash}); add a line for it, or "
                "set segment.unit to sentence"
            )
        ends, line = found
        if ends[-1] != len(response):
            length = count(len(response), "character")
            raise _fault(self.path, line, trace_id, f"has steps up to {ends[-1]}, and its response has {length}")
        return ends


@lru_cache(maxsize=1)
def _read_once(path: Path, _: tuple[int, int]) -> OffsetsFile:
    return OffsetsFile(path)


def read_offsets(path: Path) -> OffsetsFile:
    """The file, read once while it stays as it is; raises TableError where it cannot be read."""
    try:
        about = path.stat()
    except OSError as e:
        raise TableError(f"segment.offsets: {path} cannot be read ({e.strerror}); put the file there") from None
    return _read_once(path, (about.st_mtime_ns, about.st_size))


def steps_from_file(traces: pl.DataFrame, path: Path) -> list[tuple[list[int], list[int], list[str], list[bool]]]:
    """Starts, ends, kinds and `capped` of the steps of each row of `traces` (trace_id, response, and content_hash where
    it is known); raises TableError as `OffsetsFile` does."""
    offsets = read_offsets(path)
    hashes = traces["content_hash"] if "content_hash" in traces.columns else [None] * traces.height
    steps = []
    for trace_id, content_hash, response in zip(traces["trace_id"], hashes, traces["response"], strict=True):
        ends = offsets.ends(trace_id, content_hash, response)
        steps.append(([0, *ends[:-1]], ends, [KIND] * len(ends), [False] * len(ends)))
    return steps


def _rows(path: Path) -> Iterator[Row]:
    """The rows in order; raises TableError for the first that is none."""
    for line, row in read_rows(path):
        key = next((row[k] for k in KEYS if isinstance(row, dict) and isinstance(row.get(k), str)), None)
        if key is None:
            raise TableError(f"{path}, line {line} has neither a trace_id nor a content_hash; give one of them as text")
        yield key, _chain(path, line, key, row.get("offsets")), line


def _chain(path: Path, line: int, key: str, spans: object) -> list[int]:
    """Ends of spans that begin at 0, follow each other without gap or overlap, and hold a character each."""
    if not isinstance(spans, list) or not spans:
        raise _fault(path, line, key, "has no offsets; give a list of [start, end]")
    ends: list[int] = []
    before = 0
    for number, span in enumerate(spans, start=1):
        pair = span if isinstance(span, list) else None
        if pair is None or len(pair) != 2 or not all(type(x) is int for x in pair):
            shown = one_line(repr(span), 60)
            raise _fault(path, line, key, f"has {shown} for step {number}; give [start, end] in whole characters")
        start, end = pair
        if start != before:
            what = "a gap" if start > before else "an overlap"
            raise _fault(path, line, key, f"has {what} before step {number}: it starts at {start}, not at {before}")
        if end <= start:
            raise _fault(path, line, key, f"has no character in step {number}, from {start} to {end}")
        ends.append(end)
        before = end
    return ends


def _fault(path: Path, line: int, key: str, what: str) -> TableError:
    return TableError(f"{path}, line {line}: trace {one_line(key, 80)} {what}")


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line or row, from 1, and content of each row of a file; raises TableError where it cannot be read."""
    return _parquet(path) if path.suffix == ".parquet" else _json_lines(path)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, text in enumerate(lines, start=1):
                if not text.strip():
                    continue
                try:
                    yield number, json.loads(text)
                except ValueError as e:
                    raise TableError(f"{path}, line {number} is no JSON ({error_line(e)})") from None
                except RecursionError:
                    raise TableError(f"{path}, line {number} is nested too deeply") from None
    except (OSError, UnicodeDecodeError) as e:
        raise TableError(f"{path} cannot be read as JSON lines ({error_line(e)})") from None


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as e:
        raise TableError(f"{path} is not a readable Parquet file ({error_line(e)})") from None
    yield from enumerate(frame.iter_rows(named=True), start=1)
