"""The rule that would mend how a file is read: proposed from its columns, and tried before it is shown."""

import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from stepsift import params
from stepsift.core.errors import ParamsError, SourceError
from stepsift.sources.reading import Reading

WORDS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "problem", "instruction", "query", "task", "exercise", "input", "user", "request"),
    "response": (
        *("response", "output", "completion", "generation", "attempt", "reply", "solution", "trajectory", "answer"),
        *("assistant", "trace", "result", "prediction", "text", "content"),
    ),
    "reasoning": ("reasoning", "thinking", "thought", "cot", "rationale", "scratchpad", "think"),
    "answer": ("gold", "truth", "target", "expected", "reference", "final", "correct", "answer", "label"),
    "teacher": ("teacher", "model", "generator", "llm", "engine", "author", "writer", "by"),
    "domain": ("domain", "subject", "category", "topic"),
    "licence": ("licence", "license"),
}
"""Our name to parts of names of columns that mean it, those that say most first."""
_ROLES = {*WORDS["response"], *WORDS["reasoning"], "trajectory", "trajectories", "raw", "full", "final", "model"}
_GOLD_CHARS = 60
"""A text that is longer on average is no gold answer."""
_TEACHER_CHARS = 60


@dataclass
class _Column:
    """What the rows hold at a path."""

    path: str
    rows: int = 0
    lengths: list[int] = field(default_factory=list)
    """Of its texts; a number's is 0, a list's that of its first text."""
    values: set[str] = field(default_factory=set)
    turns: bool = False
    """Whether it is a list of messages."""
    listed: bool = False

    @property
    def chars(self) -> float:
        """Mean length."""
        return statistics.fmean(self.lengths) if self.lengths else 0.0

    @property
    def words(self) -> list[str]:
        """The parts of its name, in lower case and singular."""
        split = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", self.path)
        return [word.lower().rstrip("s") for word in re.split(r"[^A-Za-z0-9]+", split) if word]


def propose(rows: list[dict[str, Any]], own: params.Rule, now: Reading, read: Callable[[params.Rule], Reading]) -> Any:
    """(rule, Reading with it) of the first rule that reads more of the rows than `now`, or teachers that nobody reads
    now; None where nothing is to be mended or nothing mends it.

    `own` is what the rule file says; `read` reads with another.
    """
    unread = [name for columns in now.columns.values() for name in columns.unread_traces()]
    lost = now.rejected.total() - now.rejected["filtered"]
    if not rows or (not unread and lost * 2 <= now.read):
        return None
    for keys in _proposals(_columns(rows), {*unread} if unread and lost * 2 <= now.read else None):
        try:
            rule = params.rule({**own.model_dump(exclude_unset=True), **keys}, "the proposed rule")
            reading = read(rule)
        except (ParamsError, SourceError):
            continue
        better = reading.kept > now.kept if lost * 2 > now.read else len(reading.teachers) > len(now.teachers)
        if better and reading.kept * 2 >= reading.read:
            return rule, reading
    return None


def _proposals(columns: list[_Column], unread: set[str] | None) -> Iterable[dict[str, Any]]:
    """Keys of rules, those that say most first; `unread`: only such as read these columns."""
    several = _teachers(columns)
    if len(several) > 1:
        used = {path for trace in several for key, path in trace.items() if key != "teacher"}
        others = [c for c in columns if c.path not in used]
        yield {"traces": several, "fields": _fields(others, ("prompt", "answer", "domain"))}
        yield {"traces": several}
    if unread is not None:
        return
    fields = _fields(columns, tuple(WORDS))
    turns = next((c.path for c in columns if c.turns), None)
    if turns:
        for keep in (("answer", "teacher", "domain", "licence"), ()):
            yield {"fields": {"prompt": turns, **{k: v for k, v in fields.items() if k in keep}}}
    yield {"fields": fields}
    yield {"fields": {name: path for name, path in fields.items() if name in ("prompt", "response")}}


def _fields(columns: list[_Column], names: tuple[str, ...]) -> dict[str, str]:
    """Our names to the columns that seem to be theirs, each column once: by its name, else by its length."""
    fields: dict[str, str] = {}

    def take(name: str, fits: Callable[[_Column], bool]) -> None:
        free = [c for c in columns if c.path not in fields.values() and fits(c)]
        best = max(free, key=lambda c: (_score(c, name), c.chars), default=None)
        if best is not None and _score(best, name) > 0:
            fields[name] = best.path

    def text(c: _Column) -> bool:
        return c.chars > 0 and not c.turns

    def label(c: _Column) -> bool:
        return text(c) and not c.listed and c.chars <= _TEACHER_CHARS

    for name in ("reasoning", "prompt"):
        if name in names:
            take(name, lambda c: text(c) and not c.listed)
    for name in ("teacher", "licence", "domain"):
        if name in names:
            take(name, label)
    if "response" in names:
        take("response", lambda c: text(c) and c.chars > _GOLD_CHARS / 3)
    if "answer" in names:
        take("answer", lambda c: not c.turns and not c.listed and c.chars <= _GOLD_CHARS)
    # Names in another language: the longest text is the response, the one that differs most often the prompt.
    by_length = sorted((c for c in columns if text(c) and c.path not in fields.values()), key=lambda c: -c.chars)
    if "response" in names and "response" not in fields and by_length:
        fields["response"] = by_length.pop(0).path
    if "prompt" in names and "prompt" not in fields and by_length:
        fields["prompt"] = max(by_length, key=lambda c: (len(c.values), c.chars)).path
    order = list(WORDS)
    return dict(sorted(fields.items(), key=lambda item: order.index(item[0])))


def _score(column: _Column, name: str) -> int:
    """How much a column's name says that it is ours of this name."""
    words = WORDS[name]
    return max((len(words) - words.index(word) for word in column.words if word in words), default=0)


def _teachers(columns: list[_Column]) -> list[dict[str, str]]:
    """Traces of several teachers in columns whose names differ by the teacher's: `x_attempt`, `y_attempt`."""
    by_teacher: dict[str, dict[str, _Column]] = {}
    for column in columns:
        rest = [word for word in re.split(r"[^A-Za-z0-9]+", column.path) if word.lower().rstrip("s") not in _ROLES]
        role = "reasoning" if {*column.words} & {*WORDS["reasoning"], "trajectory"} else "response"
        if len(rest) == len(column.words) or not rest or column.chars <= _GOLD_CHARS / 3:
            continue
        if {*column.words} & {"grade", "reason", "type", "score", "length"} - {"reasoning"}:
            continue
        by_teacher.setdefault("-".join(rest), {}).setdefault(role, column)
    return [
        {"teacher": teacher, **{role: column.path for role, column in sorted(found.items(), reverse=True)}}
        for teacher, found in by_teacher.items()
        if "response" in found and _score(found["response"], "prompt") == 0
    ]


def _columns(rows: list[dict[str, Any]]) -> list[_Column]:
    columns: dict[str, _Column] = {}
    for row in rows:
        for path, value in _walk(row, ""):
            _note(columns.setdefault(path, _Column(path)), value)
    return list(columns.values())


def _walk(row: dict[str, Any], above: str) -> Iterable[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict) and above.count(".") < 2:
            yield from _walk(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _note(column: _Column, value: Any) -> None:
    if value in (None, "", []):
        return
    column.rows += 1
    if isinstance(value, list):
        column.listed = True
        first = value[0]
        if isinstance(first, dict):
            column.turns = column.turns or bool(first.keys() & {"role", "from"})
            return
        value = first
    column.lengths.append(len(value) if isinstance(value, str) else 0)
    column.values.add(str(value)[:200])
