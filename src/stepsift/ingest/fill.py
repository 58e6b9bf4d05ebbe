"""Every row of every file into a spool, and an exact count of what was read."""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stepsift import params
from stepsift.core.errors import SourceError
from stepsift.ingest import where
from stepsift.ingest.candidate import Candidate, RowOrigin, build_candidate, origin_of
from stepsift.ingest.columns import FileColumns, mapped_paths
from stepsift.ingest.database import Spool
from stepsift.ingest.files import find as files
from stepsift.ingest.layouts import detect as layouts
from stepsift.ingest.preset import columns_of, teacher_of_set, with_preset
from stepsift.ingest.record import teacher
from stepsift.ingest.row import Row, some_names
from stepsift.ingest.rows import RowError
from stepsift.ingest.rules import Rules
from stepsift.ingest.thinking.unknown import UnknownMarkup

UNKNOWN = "(unknown)"
"""Stands for the teacher of a row that names none and could not be read."""


@dataclass
class ReadCounts:
    """What was read: a candidate trace counts 1, so does a row that gave none."""

    by_file: Counter[str] = field(default_factory=Counter)
    by_teacher: Counter[str] = field(default_factory=Counter)
    rules: dict[str, params.Rule] = field(default_factory=dict)
    """File to its rule."""
    paths: dict[str, Path] = field(default_factory=dict)
    """File to where it lies: its name is no path where the path is not UTF-8."""
    ignored_files: list[str] = field(default_factory=list)
    """Files of kinds that are not read."""
    left_out_files: list[str] = field(default_factory=list)
    """Files that a rule leaves out."""
    columns: dict[str, FileColumns] = field(default_factory=dict)
    """File to what was read as what."""
    markup: UnknownMarkup = field(default_factory=UnknownMarkup)
    """What teachers' responses begin and end with."""
    unmapped: list[str] = field(default_factory=list)
    """A sentence for each name that a rule maps to what no row has."""
    unused_rules: list[str] = field(default_factory=list)
    """Patterns of ingest.files that are the first match of no file, and names of rule files that stand beside none."""


EXAMPLE_CHARS = 4_000
"""Longest response that is taken for an example of a long one."""


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


class TeacherSamples:
    """Some candidates of every teacher: those with the smallest trace ids, and the longest that is soon looked through,
    which has the most steps."""

    def __init__(self, per_teacher: int):
        self.per_teacher = per_teacher
        self._smallest: dict[str, Sample] = {}
        self._longest: dict[str, Candidate] = {}

    def offer(self, c: Candidate) -> None:
        """Keep a candidate if it is among its teacher's."""
        self._smallest.setdefault(c.teacher, Sample(self.per_teacher)).offer(c)
        longest = self._longest.get(c.teacher)
        if len(c.response) <= EXAMPLE_CHARS and (longest is None or _length(c) > _length(longest)):
            self._longest[c.teacher] = c

    def candidates(self) -> list[Candidate]:
        """What was kept, by trace id."""
        kept = [*self._longest.values(), *(c for sample in self._smallest.values() for c in sample.candidates())]
        return sorted({c.trace_id: c for c in kept}.values(), key=lambda c: c.trace_id)


def _length(c: Candidate) -> tuple[int, str]:
    return len(c.response), c.trace_id


class Observer(Protocol):
    """Who looks at candidates while they are read."""

    def offer(self, c: Candidate) -> None:
        """Look at the next candidate, which the spool has."""


def fill_database(spool: Spool, sources: Path, settings: params.Ingest, *observers: Observer) -> ReadCounts:
    """Read all files below `sources` into `spool`; each candidate is offered to all observers.

    Raises SourceError where there is none to read, or where a rule is wrong.
    """
    known, ignored = files.find_files(sources)
    counts = ReadCounts(ignored_files=ignored)
    rules = Rules(sources, settings)
    mapped = _Mapped()
    for file in known:
        own = rules.of(file.name)
        if own.leave_out:
            counts.left_out_files.append(file.name)
            continue
        rule, preset = with_preset(file, own, settings)
        columns = columns_of(preset, file.name, own)
        columns.absent = {path for paths in mapped_paths(own).values() for path in paths}
        counts.columns[file.name] = columns
        counts.rules[file.name] = rule
        counts.paths[file.name] = file.path
        counts.by_file[file.name] = 0
        origin = origin_of(file, rule, settings, teacher_of_set(preset, file.name, own))
        for line, part, candidate, wrote in candidates(file, origin, columns):
            counts.by_file[file.name] += 1
            counts.by_teacher[wrote or UNKNOWN] += 1
            if isinstance(candidate, RowError):
                spool.reject(candidate, file.name, line, wrote)
            else:
                spool.add(candidate, file.name, line, part)
                columns.note_wording(candidate.wording, candidate.prompt_hash)
                counts.markup.note(candidate.teacher, candidate.response)
                for observer in observers:
                    observer.offer(candidate)
        mapped.add(rules.origin(file.name), own, columns)
    if not counts.columns:
        raise SourceError(f"the rules leave out every file below {sources} ({', '.join(counts.left_out_files[:5])})")
    counts.unmapped = mapped.missing()
    counts.unused_rules = rules.unused()
    return counts


class _Mapped:
    """What each rule maps, and whether any row of the files that it reads has it."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], bool] = {}
        self._columns: dict[str, set[str]] = {}

    def add(self, rule_name: str, rule: params.Rule, columns: FileColumns) -> None:
        """Take a file that was read into account."""
        self._columns.setdefault(rule_name, set()).update(columns.seen)
        if columns.rows:
            for words, paths in mapped_paths(rule).items():
                self._note(rule_name, words, not set(paths) <= columns.absent)
        if columns.rows + columns.filtered:
            for column in where.columns(rule.where) if rule.where else ():
                self._note(rule_name, f"names the column '{column}' in where", column in columns.seen)

    def _note(self, rule_name: str, words: str, read: bool) -> None:
        key = (rule_name, words)
        self._read[key] = self._read.get(key, False) or read

    def missing(self) -> list[str]:
        """A sentence for each name that no row has."""
        return [
            f"{rule} {what}, which none of its rows has; they have {some_names(sorted(self._columns[rule]))}"
            for (rule, what), read in self._read.items()
            if not read
        ]


def candidates(
    file: files.SourceFile, origin: RowOrigin, columns: FileColumns
) -> Iterator[tuple[int, int, Candidate | RowError, str | None]]:
    """(row, number of the response in it, what it gave, its teacher where known) for all of a file."""
    rule = origin.rule
    rows = files.rows(file, origin.settings)
    if rule.where:
        rows = where.filtered(rows, rule.where, file.name, columns.seen)
    for line, data in rows:
        if isinstance(data, RowError):
            columns.filtered += data.reason == "filtered"
            yield line, 0, data, rule.teacher or origin.set_teacher
            continue
        row = Row(data, rule)
        try:
            records = layouts.read(row)
        except RowError as e:
            columns.note(row, [])
            yield line, 0, e, rule.teacher or _teacher(row) or origin.set_teacher
            continue
        columns.note(row, records)
        for part, record in enumerate(records):
            if isinstance(record, RowError):
                yield line, part, record, rule.teacher or _teacher(row) or origin.set_teacher
                continue
            try:
                candidate = build_candidate(record, origin)
            except RowError as e:
                yield line, part, e, _printable(rule.teacher or record.teacher or origin.teacher)
            else:
                yield line, part, candidate, candidate.teacher


def _teacher(row: Row) -> str | None:
    """The teacher of a row in which something else is wrong, where it can be told."""
    try:
        return _printable(teacher(row))
    except RowError:
        return None


def _printable(name: str | None) -> str | None:
    """A teacher's name that a table can hold, else None: the name may be what is wrong with the row."""
    return name if name is not None and name.isprintable() else None
