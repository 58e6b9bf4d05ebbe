"""From what a user types to a trace, a prompt or a rejected row."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from stepsift.core import disk, table_files, tables
from stepsift.core.errors import LineageError

FEWEST_CHARS = 6
"""Shortest prefix of an id that is taken for one."""
_NEAREST = 3
_MOST_COMPARED = 1_000
_MOST_DIGITS = 15
"""Of a line's number; no file has more lines, and Python reads no number of any length."""


@dataclass(frozen=True)
class Named:
    """`name` is the whole id of a trace or a prompt, or of what only older revisions hold (`gone`); a row that ingest
    rejected is known by its source and line."""

    kind: Literal["trace", "prompt", "row", "gone"]
    name: str
    source: str = ""
    source_line: int = 0


def resolve_id(text: str, folders: Mapping[str, Path]) -> Named:
    """The trace, prompt or source row (`FILE:LINE`) that `text` names, by its whole id or the beginning of one.

    `folders` maps a stage to its output. Raises LineageError where there is none, with the nearest, or more than one.
    """
    traces = table_files.read_part(tables.TRACES, folders["ingest"] / tables.TRACES.file, ["trace_id"])["trace_id"]
    prompts = table_files.read_part(tables.PROMPTS, folders["ingest"] / tables.PROMPTS.file, ["prompt_id"])["prompt_id"]
    known: list[tuple[Literal["trace", "prompt"], pl.Series]] = [("trace", traces), ("prompt", prompts)]
    for kind, names in known:
        if (names == text).any():
            return Named(kind, text)
    if (row := _row(text, folders)) is not None:
        return row
    if (gone := table_files.read_rejected({"ingest": folders["ingest"]}, pl.col("trace_id") == text)).height:
        return Named("row", text, gone["source"][0], gone["source_line"][0])
    if len(text) >= FEWEST_CHARS:
        hits = [Named(kind, name) for kind, names in known for name in names.filter(names.str.starts_with(text)).sort()]
        if len(hits) == 1:
            return hits[0]
        if hits:
            some = ", ".join(f"{h.kind} {h.name}" for h in hits[:_NEAREST])
            raise LineageError(f"'{text}' begins {len(hits)} ids, such as {some}; give more of it")
    raise LineageError(
        f"no trace and no prompt is called '{text}'{_near(text, pl.concat([traces, prompts]))}; give an id, "
        f"at least {FEWEST_CHARS} characters of its beginning, or FILE:LINE of the sources"
    )


def _row(text: str, folders: Mapping[str, Path]) -> Named | None:
    """A trace by its source and line, or a row that ingest rejected; None if `text` is no such thing."""
    source, colon, line = text.rpartition(":")
    if not colon or not (line.isascii() and line.isdigit()) or len(line) > _MOST_DIGITS:
        return None
    source = _below_sources(source, folders["ingest"])
    here = (pl.col("source") == source) & (pl.col("source_line") == int(line))
    columns = ["trace_id", "source", "source_line"]
    traces = table_files.read_part(tables.TRACES, folders["ingest"] / tables.TRACES.file, columns, here)[
        "trace_id"
    ].to_list()
    if len(traces) > 1:
        raise LineageError(f"line {line} of {source} holds {len(traces)} traces, {', '.join(traces)}; name one of them")
    if traces:
        return Named("trace", traces[0])
    if table_files.read_rejected({"ingest": folders["ingest"]}, here).height:
        return Named("row", text, source, int(line))
    return None


def _below_sources(path: str, ingest: Path) -> str:
    """The name of a file below the sources folder, also where it was typed with that folder before it."""
    known = disk.read_json(ingest / "sources.json") if (ingest / "sources.json").is_file() else {}
    typed = [name for name in known if path.endswith(f"/{name}")]
    return path if path in known else max(typed, key=len, default=path)


def _near(text: str, names: pl.Series) -> str:
    """The nearest ids, in words; a slip of one character leaves one half of an id as it is."""
    half = max(1, len(text) // 2)
    alike = names.filter(names.str.starts_with(text[:half]) | names.str.ends_with(text[-half:])).sort()
    near = difflib.get_close_matches(text, alike.head(_MOST_COMPARED).to_list(), _NEAREST)
    return f" (nearest: {', '.join(near)})" if near else ""
