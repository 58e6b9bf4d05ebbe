"""The rule that would mend how a file is read: proposed from its columns, and tried before it is shown."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from stepsift import params
from stepsift.core.errors import ParamsError, SourceError
from stepsift.ingest.record import MISSING
from stepsift.sources.column_contents import Column, columns_of, words_of
from stepsift.sources.reading import Reading

WORDS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "problem", "instruction", "query", "task", "exercise", "input", "user", "request"),
    "response": (
        *("response", "output", "completion", "generation", "attempt", "reply", "solution", "trajectory", "answer"),
        *("assistant", "trace", "result", "resp", "final", "prediction", "text", "content"),
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
_METADATA = frozenset(
    (
        *("id", "uuid", "hash", "md5", "sha", "sha256", "object", "statu", "url", "created", "timestamp", "usage"),
        *("version", "fingerprint", "index", "idx", "reward", "score", "metric"),
    )
)
"""Words of names of columns that hold no words of anybody."""
_ABOUT = {"grade", "reason", "type", "kind", "format", "length"}
"""Words of names of columns that speak of a trace or an answer."""
_GOLD_WORDS = frozenset(("gold", "golden", "truth", "reference", "expected", "target", "correct", "answer", "solution"))
_GIVEN = frozenset(
    (
        *("extracted", "predicted", "prediction", "pred", "parsed", "generated", "given", "content", "response"),
        *("model", "llm", "student", "teacher", "assistant", "attempt"),
    )
)
"""Words of names of columns whose answer is one that a model gave, against which it would always be right."""
_NAMES_TEACHER = frozenset(("teacher", "model", "generator", "llm"))
_PAIR = ("chosen", "rejected")
"""Columns in which sets of preferences keep two traces of a prompt."""


def propose(rows: list[dict[str, Any]], own: params.Rule, now: Reading, read: Callable[[params.Rule], Reading]) -> Any:
    """(rule, Reading with it) of the first rule that reads more of the rows than `now`, or teachers or gold answers
    that nobody reads now; None where nothing is to be mended or nothing mends it.

    `own` is what the rule file says; `read` reads with another.
    """
    unread = [name for columns in now.columns.values() for name in columns.unread_traces()]
    lost = now.rejected.total() - now.rejected["filtered"]
    # Where answers were read as responses, what is proposed beside them would make all of them right.
    if not rows or now.has_no_trace:
        return None
    columns = columns_of(rows)
    of_rows = [c for c in columns if not c.in_turn and not _is_step(c, columns)]
    if lost * 2 > now.read:
        proposals = _proposals(of_rows, all_names=True)
    else:
        proposals = [
            *(_proposals(of_rows, all_names=False) if unread else ()),
            *_completed(_thinking(of_rows, unread, own), columns, own, now),
        ]
    for keys in proposals:
        try:
            rule = params.rule({**own.model_dump(exclude_unset=True), **keys}, "the proposed rule")
            reading = read(rule)
        except (ParamsError, SourceError):
            continue
        # Of columns that nobody reads, a rule may bring several traces of a teacher, or several teachers.
        says_more = lost * 2 <= now.read and reading.kept == now.kept and _says_more(reading, now)
        better = reading.kept > now.kept or says_more
        if better and reading.kept * 2 >= reading.read and not reading.has_no_trace:
            return rule, reading
    return None


def _is_step(column: Column, columns: list[Column]) -> bool:
    """Whether a column holds steps of a response, each of which would be read as a whole one."""
    *above, last = [words_of(part)[-1:] == ["step"] for part in column.path.split(".")]
    labelled = column.path == "completions" and any(c.path == "labels" for c in columns)
    return any(above) or (last and column.listed) or labelled


def _says_more(reading: Reading, now: Reading) -> bool:
    return (
        len(reading.teachers) > len(now.teachers)
        or reading.with_gold > now.with_gold
        or reading.thinking > now.thinking
        or (now.named_by_file and not reading.named_by_file)
    )


def _completed(
    traces: dict[str, str], columns: list[Column], own: params.Rule, now: Reading
) -> Iterable[dict[str, Any]]:
    """Rules that map what nobody reads now: `traces` (names to paths), gold answers and teacher; all of it first."""
    if any(file.preset for file in now.columns.values()):
        return
    read = {path for file in now.columns.values() for paths in file.fields.values() for path in paths}
    read |= {*traces.values()}
    gold = [] if now.with_gold or "answer" in own.fields else [{"answer": c.path} for c in _gold(columns, read)]
    named = now.named_by_file and "teacher" not in own.fields
    teacher = [{"teacher": c.path} for c in _named_teacher(columns, read)] if named else []
    for one in [traces] if traces else []:
        yield from ({"fields": {**own.fields, **one, **g, **t}} for t in (*teacher, {}) for g in (*gold, {}))
    yield from ({"fields": {**own.fields, **g, **t}} for t in (*teacher, {}) for g in (*gold, {}) if g or t)


def _thinking(columns: list[Column], unread: list[str], own: params.Rule) -> dict[str, str]:
    """The column whose texts reason where those that are read do not, and the prompt beside it; empty where none."""
    if own.traces or "response" in own.fields:
        return {}
    response = next((c for c in columns if c.path in unread and c.thinks and not c.turns and not c.listed), None)
    if response is None:
        return {}
    prompt = _fields([c for c in columns if c is not response], ("prompt",))
    return {**prompt, "response": response.path} if prompt else {}


def _named_teacher(columns: list[Column], read: set[str]) -> Iterable[Column]:
    """Columns that say by their names who answered."""
    for column in columns:
        # A list may name the teacher of each response.
        short = 0 < column.chars <= _TEACHER_CHARS and not column.turns and ".*." not in column.path
        about = {*column.own_words} & (_METADATA | _ABOUT | _GOLD_WORDS)
        if short and not about and column.path not in read and _NAMES_TEACHER & {*column.own_words}:
            yield column


def _gold(columns: list[Column], read: set[str]) -> Iterable[Column]:
    """Columns that say by their names that they have the gold answers."""
    for column in columns:
        # Of a solution in words nobody could say which of them is the answer.
        bare = column.chars <= _GOLD_CHARS and not (column.sentences and "solution" in column.own_words)
        short = bare or any("\\boxed" in v or "####" in v for v in column.values)
        named = {*column.own_words} & _GOLD_WORDS and not {*column.words} & (_METADATA | _ABOUT)
        # Where rewards are computed, the truth stands beside their settings.
        named = named or {"ground", "truth"} <= {*column.own_words}
        named = named and not {*column.own_words} & _GIVEN
        if short and named and not column.turns and column.path not in read and not column.values <= MISSING:
            yield column


def _proposals(columns: list[Column], all_names: bool) -> Iterable[dict[str, Any]]:
    """Keys of rules, those that say most first; or only such as read several traces of a row."""
    several = _teachers(columns)
    if len(several) > 1:
        used = {path for trace in several for key, path in trace.items() if key != "teacher"}
        others = [c for c in columns if c.path not in used]
        fields = _fields(others, ("prompt", "answer", "domain"))
        solution = next((c.path for c in others if "answer" not in fields and c.own_words[-1:] == ["solution"]), None)
        yield {"traces": several, "fields": fields | ({"answer": solution} if solution else {})}
        yield {"traces": several, "fields": fields}
        yield {"traces": several}
    if not all_names:
        return
    fields = _fields(columns, tuple(WORDS))
    turns = next((c.path for c in columns if c.turns and c.path not in _PAIR), None)
    if turns and "response" in fields:
        yield {"fields": {**fields, "prompt": turns}}
    if turns:
        for keep in (("answer", "teacher", "domain", "licence"), ()):
            yield {"fields": {"prompt": turns, **{k: v for k, v in fields.items() if k in keep}}}
    yield {"fields": fields}
    yield {"fields": {name: path for name, path in fields.items() if name in ("prompt", "response")}}


def _fields(columns: list[Column], names: tuple[str, ...]) -> dict[str, str]:
    """Our names to the columns that seem to be theirs, each column once: by its name, else by its length."""
    fields: dict[str, str] = {}

    def take(name: str, fits: Callable[[Column], bool]) -> None:
        free = [c for c in columns if c.path not in fields.values() and fits(c)]
        best = max(free, key=lambda c: (_score(c, name), c.chars), default=None)
        if best is not None and _score(best, name) > 0:
            fields[name] = best.path

    def text(c: Column) -> bool:
        return c.chars > 0 and not c.turns

    def prose(c: Column) -> bool:
        return text(c) and c.sentences and not {*c.own_words} & _METADATA

    def label(c: Column) -> bool:
        return text(c) and not c.listed and c.chars <= _TEACHER_CHARS

    for name in ("reasoning", "prompt"):
        if name in names:
            take(name, lambda c: prose(c) and not c.listed)
    for name in ("licence", "domain"):
        if name in names:
            take(name, label)
    if "response" in names:
        take("response", lambda c: prose(c) and c.chars > _GOLD_CHARS / 3)
    if "teacher" in names:
        beside, starred, _ = fields.get("response", "").rpartition(".*.")
        take("teacher", lambda c: label(c) or bool(starred and text(c) and c.path.startswith(f"{beside}.*.")))
    if "answer" in names:
        take(
            "answer",
            lambda c: (
                not (c.turns or ".*." in c.path or c.values <= MISSING or {*c.own_words} & _GIVEN)
                and c.chars <= _GOLD_CHARS
            ),
        )
    # Names in another language: the longest text is the response, the one that differs most often the prompt.
    free = [c for c in columns if prose(c) and c.path not in fields.values()]
    by_length = sorted((c for c in free if not _score(c, "domain")), key=lambda c: -c.chars)
    if "response" in names and "response" not in fields and by_length:
        fields["response"] = by_length.pop(0).path
    questions = [c for c in by_length if not (c.thinks or _score(c, "response"))]
    if "prompt" in names and "prompt" not in fields and questions:
        fields["prompt"] = max(questions, key=lambda c: (len(c.values), c.chars)).path
    order = list(WORDS)
    return dict(sorted(fields.items(), key=lambda item: order.index(item[0])))


def _score(column: Column, name: str) -> int:
    """How much a column's name says that it is ours of this name: its last part more than what stands above it."""
    if {*column.own_words} & _METADATA:
        return 0
    words = WORDS[name]

    def best(of: list[str]) -> int:
        return max((len(words) - words.index(word) for word in of if word in words), default=0)

    return 2 * best(column.own_words) or best(column.words)


def _teachers(columns: list[Column]) -> list[dict[str, str]]:
    """Traces of several teachers in columns whose names differ by the teacher's (`x_attempt`, `y_attempt`), several of
    one teacher (`x_attempt_1`, `x_attempt_2`), or two of which one was preferred."""
    by_trace: dict[tuple[str, str], dict[str, Column]] = {}
    for column in columns:
        parts = [word for word in re.split(r"[^A-Za-z0-9]+", column.path) if word]
        rest = [word for word in parts if word.lower().rstrip("s") not in _ROLES]
        role = "reasoning" if {*column.words} & {*WORDS["reasoning"], "trajectory"} else "response"
        if len(rest) == len(parts) or not rest or column.chars <= _GOLD_CHARS / 3 or not column.sentences:
            continue
        if {*column.words} & (_ABOUT | _METADATA):
            continue
        named = [word for word in rest if not word.isdigit()]
        number = "-".join(word for word in rest if word.isdigit())
        by_trace.setdefault(("-".join(named or rest), number if named else ""), {}).setdefault(role, column)
    # An object that has a question of its own is a row under a name, and no teacher's.
    asking = {_above(c) for c in columns if "." in c.path and c.sentences and _score(c, "prompt")}
    fields = [
        {"teacher": teacher, **{role: column.path for role, column in sorted(roles.items(), reverse=True)}}
        for (teacher, _), roles in by_trace.items()
        if "response" in roles and _score(roles["response"], "prompt") == 0 and _above(roles["response"]) not in asking
    ]
    return fields if len(fields) > 1 else _pair(columns)


def _above(column: Column) -> str:
    """The path of the object in which a column stands; empty for one of the row itself."""
    return column.path.rpartition(".")[0]


def _pair(columns: list[Column]) -> list[dict[str, str]]:
    """A trace that was preferred and one that was not, each by the model that a column names, where one does."""
    by_path = {c.path: c for c in columns}
    if not all(name in by_path for name in _PAIR):
        return []

    def model(name: str) -> dict[str, str]:
        about = [c for c in columns if name in c.own_words and "model" in c.own_words and c.values]
        if not about:
            return {"teacher": name}
        column = about[0]
        return {"teacher_field": column.path} if len(column.values) > 1 else {"teacher": next(iter(column.values))}

    return [{**model(name), "response": name} for name in _PAIR]
