"""Every row of every file into a spool, and an exact count of what was read."""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stepsift import params
from stepsift.ingest.candidate import Candidate, candidate
from stepsift.ingest.database import Spool
from stepsift.ingest.files import find as files
from stepsift.ingest.layouts import detect as layouts
from stepsift.ingest.record import teacher
from stepsift.ingest.rows import Row, RowError
from stepsift.ingest.rules import Rules

UNKNOWN = "(unknown)"
"""Stands for the teacher of a row that names none and could not be read."""


@dataclass
class ReadCounts:
    """What was read: a candidate trace counts 1, so does a row that gave none."""

    by_file: Counter[str] = field(default_factory=Counter)
    by_teacher: Counter[str] = field(default_factory=Counter)
    rules: dict[str, params.Rule] = field(default_factory=dict)
    """File to its rule."""
    ignored_files: list[str] = field(default_factory=list)
    """Files of kinds that are not read."""
    unused_rules: list[str] = field(default_factory=list)
    """Patterns of ingest.files that are the first match of no file, and names of rule files that stand beside none."""


class Sample:
    """The candidates with the smallest trace ids: the same ones in whatever order they come."""

    def __init__(self, size: int):
        self.size = size
        self._heap: list[tuple[int, str]] = []
        self._by_id: dict[str, Candidate] = {}

    def offer(self, c: Candidate) -> None:
        """Keep a candidate if its id is among the smallest so far."""
        if c.trace_id in self._by_id:
            return
        entry = (-int(c.trace_id, 16), c.trace_id)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            del self._by_id[heapq.heapreplace(self._heap, entry)[1]]
        else:
            return
        self._by_id[c.trace_id] = c

    def candidates(self) -> list[Candidate]:
        """What was kept, by trace id."""
        return [self._by_id[trace_id] for trace_id in sorted(self._by_id)]


def fill(spool: Spool, sources: Path, settings: params.Ingest, sample: Sample | None = None) -> ReadCounts:
    """Read all files below `sources` into `spool`; raise SourceError where there is none to read,
    or where a rule is wrong."""
    known, ignored = files.find(sources)
    counts = ReadCounts(ignored_files=ignored)
    rules = Rules(sources, settings)
    for file in known:
        rule = counts.rules[file.name] = rules.of(file.name)
        counts.by_file[file.name] = 0
        for line, part, found, wrote in candidates(file, rule, settings):
            counts.by_file[file.name] += 1
            counts.by_teacher[wrote or UNKNOWN] += 1
            if isinstance(found, RowError):
                spool.reject(found, file.name, line, wrote)
            else:
                spool.add(found, file.name, line, part)
                if sample is not None:
                    sample.offer(found)
    counts.unused_rules = rules.unused()
    return counts


def candidates(
    file: files.SourceFile, rule: params.Rule, settings: params.Ingest
) -> Iterator[tuple[int, int, Candidate | RowError, str | None]]:
    """(row, number of the response in it, what it gave, its teacher where known) for all of a file."""
    for line, data in files.rows(file, settings):
        if isinstance(data, RowError):
            yield line, 0, data, rule.teacher
            continue
        row = Row(data, rule.fields)
        try:
            records = layouts.read(row, rule.layout)
        except RowError as e:
            yield line, 0, e, rule.teacher or _teacher(row)
            continue
        for part, record in enumerate(records):
            if isinstance(record, RowError):
                yield line, part, record, rule.teacher or _teacher(row)
                continue
            try:
                found = candidate(record, rule, file.stem, settings)
            except RowError as e:
                yield line, part, e, _printable(rule.teacher or record.teacher or file.stem)
            else:
                yield line, part, found, found.teacher


def _teacher(row: Row) -> str | None:
    """The teacher of a row in which something else is wrong, where it can be told."""
    try:
        return _printable(teacher(row))
    except RowError:
        return None


def _printable(name: str | None) -> str | None:
    """A teacher's name that a table can hold, else None: the name may be what is wrong with the row."""
    return name if name is not None and name.isprintable() else None
