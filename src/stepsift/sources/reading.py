"""The first rows of some files, read as ingest reads them: what came of each, and which column was read as what."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stepsift import params
from stepsift.ingest.candidate import Candidate, origin_of
from stepsift.ingest.columns import FileColumns
from stepsift.ingest.files import find as files
from stepsift.ingest.files.find import SourceFile
from stepsift.ingest.fill import candidates
from stepsift.ingest.layouts.detect import detect_layout
from stepsift.ingest.preset import columns_of, teacher_of_set, with_preset
from stepsift.ingest.row import Row
from stepsift.ingest.rows import RowError
from stepsift.ingest.rules import Rules
from stepsift.ingest.thinking.unknown import UnknownMarkup
from stepsift.sources import scratch
from stepsift.sources.scratch import RulesByName

FIRST_ROWS = 500
"""Of each file: enough to see how it is read, and a matter of seconds."""
MOST_EXAMPLES = 3


@dataclass
class Reading:
    """What came of the first rows of some files; a row that gave several traces counts as often."""

    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason."""
    first: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """Reason to (file, row, detail) of the first row rejected for it."""
    thinking: int = 0
    """Traces with reasoning."""
    teachers: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[str, int, Candidate]] = field(default_factory=dict)
    """Teacher to (file, row, candidate) of the first trace, then `teacher 2` and so on up to MOST_EXAMPLES."""
    columns: dict[str, FileColumns] = field(default_factory=dict)
    layouts: Counter[str] = field(default_factory=Counter)
    """Layout of the rows to the files whose first row has it."""
    markup: UnknownMarkup = field(default_factory=UnknownMarkup)
    """What teachers' responses begin and end with."""
    by_file: set[str] = field(default_factory=set)
    """Teachers as the files' names say them."""
    named_by_file: bool = False
    """Whether a file's or folder's name stands for a teacher, since nothing else names one."""
    cut: bool = False
    """Whether a file has more rows."""

    @property
    def read(self) -> int:
        """Traces, and rows that gave none."""
        return self.kept + self.rejected.total()

    @property
    def with_gold(self) -> int:
        """Traces whose row gives a gold answer or tests."""
        return sum(columns.with_gold for columns in self.columns.values())

    @property
    def has_no_trace(self) -> bool:
        """Whether what was read of a file as responses are single values."""
        return any(columns.has_no_trace for columns in self.columns.values())

    def note(self, file: str, row: int, candidate: Candidate | RowError) -> None:
        """Count what a row gave."""
        if isinstance(candidate, RowError):
            self.rejected[candidate.reason] += 1
            self.first.setdefault(candidate.reason, (file, row, candidate.detail))
            return
        self.kept += 1
        self.thinking += candidate.response.startswith("<think>")
        self.teachers[candidate.teacher] += 1
        self.markup.note(candidate.teacher, candidate.response)
        self.examples.setdefault(f"{self.teachers[candidate.teacher]} {candidate.teacher}", (file, row, candidate))

    def shown(self) -> list[tuple[str, int, Candidate]]:
        """At most MOST_EXAMPLES, of as many teachers as there are."""
        keys = sorted(self.examples, key=lambda key: int(key.partition(" ")[0]))
        return [self.examples[key] for key in keys[:MOST_EXAMPLES]]


def read_first(source_files: list[SourceFile], rules: RulesByName, settings: params.Ingest) -> Reading:
    """Read the first FIRST_ROWS rows of each file; raise SourceError where a rule or a file cannot be used."""
    reading = Reading()
    with scratch.folder_of(source_files, rules) as folder:
        of = Rules(folder, settings)
        for file in source_files:
            own = of.of(file.name)
            if own.leave_out:
                continue
            rule, preset = with_preset(file, own, settings)
            columns = columns_of(preset, file.name, own)
            reading.columns[file.name] = columns
            reading.layouts.update(_layout(file, rule, settings))
            origin = origin_of(file, rule, settings, teacher_of_set(preset, file.name, own))
            if origin.set_teacher is None:
                reading.by_file.add(origin.teacher)
            for row, _, candidate, _ in candidates(file, origin, columns):
                if row > FIRST_ROWS:
                    reading.cut = True
                    break
                reading.note(file.name, row, candidate)
            named = rule.teacher or rule.traces or origin.set_teacher or "teacher" in columns.fields
            reading.named_by_file = reading.named_by_file or not named
    return reading


def _layout(file: SourceFile, rule: params.Rule, settings: params.Ingest) -> list[str]:
    """The layout of a file's first row that has one."""
    if rule.traces:
        return ["several teachers in columns"]
    if rule.layout != "auto":
        return [rule.layout]
    for row in first_rows([file], settings, most=20):
        with contextlib.suppress(RowError):
            return [detect_layout(Row(row, rule))]
    return []


def first_rows(source_files: list[SourceFile], settings: params.Ingest, most: int = 100) -> list[dict[str, Any]]:
    """The first decoded rows of files, as they stand there."""
    rows: list[dict[str, Any]] = []
    for file in source_files:
        for number, row in files.rows(file, settings):
            if isinstance(row, dict):
                rows.append(row)
            if number >= most or len(rows) >= most:
                break
    return rows[:most]
