"""The pool as scoring reads it: traces with the ends of their steps, from two tables, a bounded number at a time."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from stepsift.core import table_files, tables
from stepsift.core.errors import TableError
from stepsift.core.text import count
from stepsift.render import Messages

CHUNK_TRACES = 256
"""Traces are worked on in chunks of at most this many ..."""
CHUNK_CHARS = 1_000_000
"""... or closed by the trace with which they hold this many characters."""
SLICE_CHARS = 200_000_000
"""Characters of responses that are held at once where traces are wanted prompt by prompt."""

_NO_STEPS = pl.DataFrame(schema=tables.STEPS.schema)


@dataclass(frozen=True)
class Trace:
    """A trace as scoring wants it. `ends` [steps] are its steps' end offsets in characters."""

    trace_id: str
    prompt_id: str
    response: str
    ends: np.ndarray
    origin: dict[str, str | int]
    """Source, source_line and teacher, for the rejected table alone."""


class Prompts(Mapping[str, Messages]):
    """Messages by prompt_id, of the prompts of a table that are `wanted`; kept as the table has them, for memory."""

    def __init__(self, table: Path, prompt_ids: Container[str]):
        parts = [
            f.filter(pl.Series([i in prompt_ids for i in f["prompt_id"]], dtype=pl.Boolean))
            for f in table_files.scan(tables.PROMPTS, table, ["prompt_id", "prompt"])
        ]
        frame = pl.concat(parts) if parts else pl.DataFrame(schema=tables.PROMPTS.schema)
        self._messages = frame["prompt"]
        self._rows = {prompt_id: row for row, prompt_id in enumerate(frame["prompt_id"])}

    def __getitem__(self, prompt_id: str) -> Messages:
        return self._messages[self._rows[prompt_id]].to_list()

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True)
class PoolTables:
    """Where the tables of a pool lie; without `steps` the traces are segmented anew."""

    prompts: Path
    traces: Path
    steps: Path | None = None


@dataclass(frozen=True)
class Pool:
    """Messages of the prompts that are to be scored, and the tables of traces and steps, both sorted by trace_id."""

    prompts: Mapping[str, Messages]
    traces: Path
    steps: Path

    def count(self) -> int:
        """How many traces are to be scored."""
        prompt_ids = pl.Series(list(self.prompts), dtype=pl.String).implode()
        return sum(
            int(f["prompt_id"].is_in(prompt_ids).sum())
            for f in table_files.scan(tables.TRACES, self.traces, ["prompt_id"])
        )

    def chunks(self) -> Iterator[list[Trace]]:
        """The traces in the order of the tables; raises TableError where the tables do not match."""
        return chunked(self._read(self.prompts))

    def chunks_by_prompt(self) -> Iterator[list[Trace]]:
        """The traces with all candidates of a prompt together, in at most as many readings as SLICE_CHARS asks for."""
        for prompts in self._slices():
            traces = list(self._read(prompts))
            yield from chunked(sorted(traces, key=lambda t: (t.prompt_id, t.trace_id)))

    def _slices(self) -> Iterator[set[str]]:
        """Sets of prompts whose responses may be held at once."""
        sizes = pl.concat(
            f.group_by("prompt_id").agg(pl.col("response").str.len_chars().sum().cast(pl.Int64))
            for f in table_files.scan(tables.TRACES, self.traces, ["prompt_id", "response"])
        )
        held: set[str] = set()
        chars = 0
        for prompt_id, size in sizes.group_by("prompt_id").sum().sort("prompt_id").iter_rows():
            if prompt_id in self.prompts:
                held.add(prompt_id)
                chars += size
                if chars >= SLICE_CHARS:
                    yield held
                    held, chars = set(), 0
        if held:
            yield held

    def _read(self, prompts: Container[str]) -> Iterator[Trace]:
        return read(table_files.scan(tables.TRACES, self.traces), table_files.scan(tables.STEPS, self.steps), prompts)


def read(traces: Iterable[pl.DataFrame], steps: Iterator[pl.DataFrame], prompts: Container[str]) -> Iterator[Trace]:
    """The traces of `prompts`, from frames that are sorted by trace_id; raises TableError where they do not match."""
    cut: Iterator[tuple[str | None, pl.DataFrame]] = table_files.groups(steps, "trace_id")
    for frame in traces:
        for row in frame.iter_rows(named=True):
            trace_id, its_steps = next(cut, (None, _NO_STEPS))
            if trace_id != row["trace_id"] or its_steps["end"][-1] != len(row["response"]):
                length = count(len(row["response"]), "character")
                raise TableError(
                    f"traces and steps differ: trace {row['trace_id']} has {length}, the next "
                    f"steps are those of trace {trace_id}, to character {its_steps['end'].max()!r}; run 'dvc repro'"
                )
            if row["prompt_id"] in prompts:
                origin = {k: row[k] for k in ("source", "source_line", "teacher")}
                ends = its_steps["end"].to_numpy()
                yield Trace(row["trace_id"], row["prompt_id"], row["response"], ends, origin)
    if (more := next(cut, None)) is not None:
        raise TableError(
            f"traces and steps differ: there are steps of trace {more[0]} and no such trace; run 'dvc repro'"
        )


def chunked(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    """Traces in chunks of at most CHUNK_TRACES and about CHUNK_CHARS."""
    chunk: list[Trace] = []
    chars = 0
    for trace in traces:
        chunk.append(trace)
        chars += len(trace.response)
        if len(chunk) >= CHUNK_TRACES or chars >= CHUNK_CHARS:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk
