"""What of each file was read as what, what was not read, and which of that looks like a trace."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from stepsift import params
from stepsift.core.text import count, one_line
from stepsift.ingest import template
from stepsift.ingest.paths import walk
from stepsift.ingest.prompt_doubts import PromptDoubts
from stepsift.ingest.record import Record
from stepsift.ingest.row import Row, is_thought
from stepsift.ingest.rows import RowError

TRACE_WORDS = (
    *("response", "output", "completion", "attempt", "generation", "trajectory", "trajectorie", "reasoning", "answer"),
    *("solution", "thinking", "thought", "cot", "chosen", "rejected", "message", "conversation"),
)
"""Parts of names of columns in which publishers keep traces."""

_LONG_CHARS = 400
_SENTENCE_CHARS = 20
_SAMPLED_WORDINGS = 200
_FEWEST_WORDINGS = 5
"""Different prompts, of which fewer may begin alike by chance."""

_VALUE_CHARS = 60
_WORD = re.compile(r"(?<![\\\w])[A-Za-z]{2,}")
"""A word; in a formula most names are single letters or commands."""
_MOST_VALUE_WORDS = 2
_QUOTED = ("''", '""', "[]", "()", "{}")
_MOST_VALUES = 0.9
_FEWEST_TRACES = 10
"""Of which all may be short by chance."""

_ANSWERS_WITHIN = (
    *("choices.0.message.content", "message.content"),
    *("response", "answer", "final_answer", "output", "content"),
)
_THOUGHTS_WITHIN = ("reasoning_content", "reasoning", "thinking", "thoughts")
"""Paths within an object that is stored as JSON text, as programming interfaces and prompts for JSON give it; thoughts
stand beside the answer."""

_OF_EACH = {
    "teacher": {"teacher", "model", "generator", "llm"},
    "label": {"label", "correct", "correctness", "passed", "verified"},
}
"""Our name to words of columns that say it of each of a row's responses."""

_SHOWN_ROWS = 2_000
"""Rows whose columns that are not read are measured: enough to see what they hold."""


@dataclass
class _Unread:
    rows: int = 0
    texts: int = 0
    chars: int = 0
    thinks: bool = False
    repeats: int = 0
    """Texts that are responses of their rows once more."""


@dataclass
class FileColumns:
    """One file: which columns its traces were read from."""

    preset: str | None = None
    rows: int = 0
    """Rows that could be decoded, and were not filtered."""
    filtered: int = 0
    traces: int = 0
    with_gold: int = 0
    """Traces whose row gives a gold answer or tests."""
    with_label: int = 0
    """Traces that their row calls right or wrong."""
    read_as: Counter[tuple[tuple[str, str], ...]] = field(default_factory=Counter)
    """(our name, the path at which it was found) of all that was read of a row, to how many rows were read so."""
    absent: set[str] = field(default_factory=set)
    """Paths that the file's rule maps and no row has had so far."""
    seen: set[str] = field(default_factory=set)
    """All columns of all rows, filtered ones included."""
    unread: dict[str, _Unread] = field(default_factory=dict)
    wordings: dict[str, str] = field(default_factory=dict)
    """Hash to wording of the first prompts."""
    begins: str | None = None
    """What the wordings of all prompts have in common at their beginning; `ends` is so for the end, backwards."""
    ends: str | None = None
    quiet: Collection[str] = ()
    """Columns of which the preset says that nobody reads them."""
    on_trust: str | None = None
    """What the file owes to a preset that may be another set's, as a sentence without the file's name."""
    named_by_file: int = 0
    """Traces whose teacher neither row, rule nor preset names."""
    values: int = 0
    """Traces that are a single value, and say nothing of how it was found."""
    first_value: str = ""
    within: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(path of an answer, path of reasoning or nothing) within responses that are objects as JSON text."""
    beside: Counter[str] = field(default_factory=Counter)
    """Column that nobody reads to the rows in which it says something short of each of several responses."""
    prompts: PromptDoubts = field(default_factory=PromptDoubts)
    """What is seen of the first prompts."""

    def note(self, row: Row, records: list[Record | RowError]) -> None:
        """Count a row and what came of it."""
        self.rows += 1
        self.seen.update(row.data)
        if self.absent:
            self.absent = {path for path in self.absent if walk(row.data, path) in (None, [])}
        self.read_as[tuple(row.used.items())] += 1
        for record in records:
            if isinstance(record, Record):
                self.traces += 1
                self.named_by_file += record.teacher is None and row.rule.teacher is None and self.preset is None
                self.with_gold += record.answer is not None or record.tests is not None
                self.with_label += record.label is not None
                if record.response[:1] == "{" and (paths := _paths_within(row, record.response)):
                    self.within[paths] += 1
                if record.reasoning is None and _is_value(record.response):
                    self.values += 1
                    self.first_value = self.first_value or record.response
        if self.rows <= _SHOWN_ROWS:
            first = next((r for r in records if isinstance(r, Record)), None)
            if first is not None:
                self.prompts.note(row, first)
            responses = {record.response.strip() for record in records if isinstance(record, Record)}
            for name, value in row.data.items():
                if name not in row.read and value not in (None, "", []):
                    _measure(self.unread.setdefault(name, _Unread()), value, responses)
                    self.beside[name] += _says_of_each(value, len(records))

    @property
    def fields(self) -> dict[str, Counter[str]]:
        """Our name to the paths at which it was found, and in how many rows."""
        fields: dict[str, Counter[str]] = {}
        for used, rows in self.read_as.items():
            for name, path in used:
                fields.setdefault(name, Counter())[path] += rows
        return fields

    @property
    def has_no_trace(self) -> bool:
        """Whether nearly all that was read as responses are single values, as gold answers are."""
        return self.traces >= _FEWEST_TRACES and self.values >= _MOST_VALUES * self.traces

    def unread_columns(self) -> list[str]:
        """Columns of which nothing was ever read, sorted."""
        read = {path for used in self.read_as for _, path in used}
        read |= {path.partition(".")[0] for path in read}
        return sorted(name for name in self.unread if name not in read)

    def unread_traces(self) -> list[str]:
        """Those of them that look like traces, and are not known from the preset."""
        return [n for n in self.unread_columns() if n not in self.quiet and _looks_like_a_trace(n, self.unread[n])]

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "preset": self.preset,
            "rows": self.rows,
            "filtered": self.filtered,
            "traces": self.traces,
            "fields": {name: dict(paths) for name, paths in sorted(self.fields.items())},
            "unread": self.unread_columns(),
            "unread_traces": self.unread_traces(),
            "gold_share": round(self.with_gold / self.traces, 4) if self.traces else None,
        }

    def note_wording(self, wording: str, prompt_hash: str) -> None:
        """Remember how a prompt begins and ends, as its identity sees it."""
        if prompt_hash in self.wordings:
            return
        if len(self.wordings) < _SAMPLED_WORDINGS:
            self.wordings[prompt_hash] = wording
        # Once nothing is common, nothing will be.
        if self.begins != "":
            self.begins = _common(self.begins, wording)
        if self.ends != "":
            self.ends = _common(self.ends, wording[::-1])

    def wrapper(self) -> tuple[str, str]:
        """(prefix, suffix) of whole sentences that all prompts have; empty where there is none or too few prompts."""
        if len(self.wordings) < _FEWEST_WORDINGS:
            return "", ""
        begins = re.match(r".*[.:?!](?= )", self.begins or "")
        ends = re.search(r"(?<=[.:?!] )\S.*", (self.ends or "")[::-1])
        return begins[0] if begins else "", ends[0] if ends else ""

    def key(self) -> tuple[object, ...]:
        """Equal for files that were read alike."""
        fields = tuple((name, tuple(sorted(paths))) for name, paths in sorted(self.fields.items()))
        return self.preset, fields, tuple(self.unread_columns()), self.named_by_file > 0


def column_lines(columns: dict[str, FileColumns]) -> list[str]:
    """What `stepsift check` prints of the files; those that were read alike (shards) stand together."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, file in columns.items():
        groups.setdefault(file.key(), []).append(name)
    lines = []
    for names in groups.values():
        files = [columns[name] for name in names]
        rows, traces, gold = (sum(getattr(f, key) for f in files) for key in ("rows", "traces", "with_gold"))
        more = f" and {len(names) - 1} more read alike" if len(names) > 1 else ""
        preset = f"preset {files[0].preset}" if files[0].preset else "no preset"
        share = f"{gold / traces:.0%} of them with a gold answer or tests" if traces else "none with a gold answer"
        lines.append(
            f"read as     {names[0]}{more} ({preset}): {count(rows, 'row')}, {count(traces, 'trace')}, {share}"
        )
        read = [f"{ours} from {' or '.join(sorted(paths))}" for ours, paths in sorted(files[0].fields.items())]
        lines.append(f"            {', '.join(read) or 'nothing was read'}")
        if files[0].unread_columns():
            lines.append(f"            not read: {', '.join(files[0].unread_columns())}")
        if any(f.named_by_file for f in files):
            lines.append("            teachers are named by file or folder; 'teacher: NAME' in its rule says otherwise")
        filtered = sum(f.filtered for f in files)
        if filtered:
            lines.append(f"            {count(filtered, 'row')} left out by where")
    return lines


def column_warnings(columns: dict[str, FileColumns]) -> list[str]:
    """A sentence for files whose responses are single values, with columns that nobody reads and that look like traces,
    labels that say nothing, prompts that may not be what was asked, or a preset that may be another set's; a preset
    knows the prompts of its set."""
    doubts: dict[str, list[str]] = {}
    for name, file in columns.items():
        for sentence in [file.on_trust] if file.preset else file.prompts.sentences():
            if sentence is not None:
                doubts.setdefault(sentence, []).append(name)
    of_files = [f"{_first(names)}: {sentence}" for sentence, names in doubts.items()]
    return [
        *_value_warnings(columns),
        *_json_warnings(columns),
        *_list_warnings(columns),
        *_trace_warnings(columns),
        *_label_warnings(columns),
        *of_files,
    ]


def _value_warnings(columns: dict[str, FileColumns]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name, file in columns.items():
        if file.has_no_trace:
            paths = sorted({path for ours, paths in file.fields.items() if "response" in ours for path in paths})
            groups.setdefault(", ".join(paths), []).append(name)
    return [
        f"{_first(names)}: responses (from {paths or 'conversations'}) are single values such as "
        f"'{one_line(columns[names[0]].first_value, _VALUE_CHARS)}': this looks like questions with their answers, and "
        "there is no trace in it; if a column holds what a teacher wrote, map fields.response to it"
        for paths, names in groups.items()
    ]


def _json_warnings(columns: dict[str, FileColumns]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name, file in columns.items():
        if paths := next((paths for paths, n in file.within.most_common(1) if 2 * n > file.traces), None):
            groups.setdefault(paths, []).append(name)
    return [
        f"{_first(names)}: responses are objects as JSON text, and read as text; if they are what an interface "
        f"or a program wrote around the answer, map fields.response to {answer}"
        + (f" and fields.reasoning to {thought}" if thought else "")
        for (answer, thought), names in groups.items()
    ]


def _list_warnings(columns: dict[str, FileColumns]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name, file in columns.items():
        for column in file.unread_columns():
            parts = re.split(r"[^a-z0-9]+", column.lower())
            words = {word for part in parts for word in (part, part.removesuffix("s"))}
            ours = next((ours for ours, said in _OF_EACH.items() if words & said and ours not in file.fields), None)
            if ours and file.beside[column] > _MOST_VALUES * file.unread[column].rows:
                groups.setdefault((column, ours), []).append(name)
    return [
        f"{_first(names)}: nobody reads {column}, which has a value for each response of a row; if it says "
        f"{'who wrote it' if ours == 'teacher' else 'whether it is right'}, map fields.{ours} to it"
        for (column, ours), names in groups.items()
    ]


def _label_warnings(columns: dict[str, FileColumns]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name, file in columns.items():
        paths = sorted({path for ours, paths in file.fields.items() if ours.startswith("label") for path in paths})
        if paths and file.traces and not file.with_label:
            groups.setdefault(", ".join(paths), []).append(name)
    return [
        f"{_first(names)}: no value of {paths} says that a response is right or wrong (true, false, 1, 0 or a word "
        "such as yes), so no trace has a label; grades between 0 and 1 are none, but where can compare them"
        for paths, names in groups.items()
    ]


def _first(names: list[str]) -> str:
    return f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"


def _trace_warnings(columns: dict[str, FileColumns]) -> list[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, file in columns.items():
        if file.unread_traces():
            groups.setdefault(tuple(file.unread_traces()), []).append(name)
    return [
        f"{_first(names)}: nobody reads {', '.join(unread)}, which "
        f"look{'s' * (len(unread) == 1)} like traces; map them in a rule: fields, or traces for several teachers"
        for unread, names in groups.items()
    ]


def mapped_paths(rule: params.Rule) -> dict[str, tuple[str, ...]]:
    """What a rule maps by itself, in words, to the paths of which a row should have one."""
    paths: dict[str, tuple[str, ...]] = {}
    for name, several in rule.fields.items():
        if several:
            paths[f"maps {name} to '{_shown(several)}'"] = (several,) if isinstance(several, str) else several
    for trace in rule.traces:
        for key in ("response", "reasoning", "label", "teacher_field"):
            path = getattr(trace, key)
            if path:
                paths[f"maps {key} of {trace.whose} to '{path}'"] = (path,)
    for path in template.columns(rule.prompt_template) if rule.prompt_template else ():
        paths[f"names the column '{path}' in prompt_template"] = (path,)
    return paths


def _shown(paths: str | tuple[str, ...]) -> str:
    return paths if isinstance(paths, str) else "' or '".join(paths)


def _common(before: str | None, text: str) -> str:
    """What two texts begin with."""
    if before is None or text.startswith(before):
        return text if before is None else before
    differs = next((i for i, (a, b) in enumerate(zip(before, text, strict=False)) if a != b), None)
    return before[: min(len(before), len(text)) if differs is None else differs]


def _paths_within(row: Row, response: str) -> tuple[str, str] | None:
    """(path of the answer, path of reasoning or nothing) within a response that is an object as JSON text."""
    column = row.used.get("response", "")
    if row.data.get(column) != response:
        return None
    answers = (p for p in _ANSWERS_WITHIN if isinstance(walk(response, p), str))
    for path in answers:
        holder = path.rpartition("content")[0] if "." in path else ""
        thought = next((holder + p for p in _THOUGHTS_WITHIN if isinstance(walk(response, holder + p), str)), "")
        if thought or holder:
            return f"{column}.{path}", f"{column}.{thought}" if thought else ""
    return None


def _says_of_each(value: object, responses: int) -> bool:
    """Whether a value is a list of something short for each of several responses."""
    if not isinstance(value, list) or not len(value) == responses > 1:
        return False
    return all(isinstance(v, bool | int) or (isinstance(v, str) and len(v) <= _VALUE_CHARS) for v in value)


def _is_value(response: str) -> bool:
    """Whether a response is a word, a number, a formula, a name or a list of them."""
    text = response.strip()
    if not is_thought(text):
        return True
    # In scripts without blanks nobody can count words.
    short = len(text) <= _VALUE_CHARS and text.isascii() and not text.endswith(".")
    return short and (len(_WORD.findall(text)) <= _MOST_VALUE_WORDS or text[0] + text[-1] in _QUOTED)


def _measure(unread: _Unread, value: object, responses: Collection[str]) -> None:
    unread.rows += 1
    texts = value if isinstance(value, list) else [value]
    last = texts[-1]
    # A conversation repeats its answer where its last turn does.
    same = isinstance(last, dict) and any(isinstance(t, str) and t.strip() in responses for t in last.values())
    for text in texts[:4]:
        inner = next((t for t in text.values() if isinstance(t, str)), None) if isinstance(text, dict) else text
        if isinstance(inner, str):
            unread.texts += 1
            unread.chars += len(inner)
            unread.thinks = unread.thinks or "<think" in inner[:200]
            unread.repeats += same or inner.strip() in responses


def _looks_like_a_trace(name: str, unread: _Unread) -> bool:
    if unread.repeats == unread.texts:
        return False
    mean = unread.chars / unread.texts
    parts = name.lower().replace("-", "_").split("_")
    named = any(part.rstrip("s") in TRACE_WORDS for part in parts)
    graded = {"grade", "reason", "type", "info", "id", "verify", "check", "date", "time", "at"} & set(parts)
    return unread.thinks or mean >= _LONG_CHARS or (named and not graded and mean >= _SENTENCE_CHARS)
