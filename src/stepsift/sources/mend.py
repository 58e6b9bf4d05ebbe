"""The rule that would mend how a file is read: proposed from its columns, and tried before it is shown."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from stepsift import params
from stepsift.core.errors import ParamsError, SourceError
from stepsift.ingest.rows import MISSING
from stepsift.sources.column_contents import Column, columns_of, words_of
from stepsift.sources.reading import Reading

WORDS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "problem", "instruction", "query", "task", "exercise", "input", "user", "request"),
    "response": (
        *("response", "output", "completion", "generation", "attempt", "reply", "trajectory", "assistant", "trace"),
        *("resp", "prediction", "result", "solution", "answer", "final", "text", "content"),
    ),
    "reasoning": ("reasoning", "thinking", "thought", "cot", "rationale", "scratchpad", "think"),
    "answer": ("gold", "truth", "target", "expected", "reference", "correct", "answer", "solution"),
    "teacher": ("teacher", "model", "generator", "llm"),
    "domain": ("domain", "subject", "category", "topic"),
    "licence": ("licence", "license"),
}
"""Our name to parts of names of columns that mean it, those that say most first."""
_NAMES_TEACHER = frozenset(WORDS["teacher"])
_ROLES = {
    *(*WORDS["response"], *WORDS["reasoning"], *WORDS["teacher"], "trajectorie", "raw", "full"),
    *("conversation", "message", "dialogue", "chat"),
}
"""Words of a column's name that say what stands in it, and not whose it is."""
_SHORTEST_CHARS = 20
"""A text that is shorter on average is no response, unless reasoning stands beside it."""
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
_ABOUT = frozenset(
    (
        *("grade", "reason", "type", "kind", "format", "length", "config", "error", "language", "quality"),
        *("difficulty", "judge", "judgement", "critique", "review", "feedback", "summary"),
    )
)
"""Words of names of columns that speak of a trace or an answer."""
_GOLD_WORDS = frozenset(("gold", "golden", "truth", "reference", "expected", "target", "correct"))
_PLAIN = frozenset(
    (
        *("answer", "solution", "key", "value", "text", "metadata", "meta", "info", "extra", "doc", "data", "example"),
        *("item", "row", "question", "problem", "task", "prompt", "message", "conversation"),
    )
)
"""Words that say nothing of who gave an answer: `final_answer` and `result.answer` may be what a model gave."""
_GIVEN = frozenset(
    (
        *("extracted", "predicted", "prediction", "pred", "parsed", "generated", "given", "content", "response"),
        *("model", "llm", "student", "teacher", "assistant", "attempt"),
    )
)
"""Words of names of columns whose answer is one that a model gave, against which it would always be right."""
_NO_ANSWERS = frozenset(
    (
        *("judge", "judgement", "embedding", "embed", "input", "question", "query", "prompt", "instruction", "problem"),
        *("task", "category", "difficulty", "quality", "reward", "score", "scorer", "verifier", "verification"),
        *("grader", "ranker", "critic", "annotator", "translator", "translation", "moderation", "filter", "classifier"),
        *("tokenizer", "evaluator", "student", "type"),
    )
)
"""Words of names of columns whose model wrote no response: it asked, judged or measured."""
_PAIR = ("chosen", "rejected")
"""Columns in which sets of preferences keep two traces of a prompt."""
_MAY_BE_GOLD = frozenset(("solution", "answer"))
"""Words of names of columns that are responses where nothing else is, and gold answers beside a teacher's."""


def propose(rows: list[dict[str, Any]], own: params.Rule, now: Reading, read: Callable[[params.Rule], Reading]) -> Any:
    """(rule, Reading with it) of the first rule that reads more of the rows than `now`, or teachers or gold answers
    that nobody reads now; None where nothing is to be mended or nothing mends it.

    `own` is what the rule file says; `read` reads with another.
    """
    unread = [name for columns in now.columns.values() for name in columns.unread_traces()]
    lost = now.rejected.total() - now.rejected["filtered"]
    if not rows or _one_object(rows) or (now.has_no_trace and "response" in own.fields):
        return None
    columns = columns_of(rows)
    of_rows = [c for c in columns if not c.in_turn and not _is_step(c, columns)]
    names = {own.teacher} if own.teacher else now.by_file
    several = _teachers(of_rows, next(iter(names)) if len(names) == 1 else None)
    # Gold answers that were read as responses would make right whatever stands beside them.
    useless = lost * 2 > now.read or now.has_no_trace
    if useless:
        proposals = _proposals(of_rows, several)
    else:
        said = {*_paths(now, "response")}
        gold_was_read = said and said <= _MAY_BE_GOLD and any("reasoning" in trace for trace in several)
        proposals = [
            *(_of_teachers(of_rows, several) if unread and (len(several) > 1 or gold_was_read) else ()),
            *_completed(_thinking(of_rows, unread, own), columns, own, now),
        ]
    for keys in proposals:
        try:
            rule = params.rule({**own.model_dump(exclude_unset=True), **keys}, "the proposed rule")
            reading = read(rule)
        except (ParamsError, SourceError):
            continue
        # Of columns that nobody reads, a rule may bring several traces of a teacher, or several teachers.
        says_more = not useless and reading.kept == now.kept and _says_more(reading, now)
        better = reading.kept > now.kept or says_more or now.has_no_trace
        if better and reading.kept * 2 >= reading.read and not reading.has_no_trace:
            return rule, reading
    return None


def why_none(rows: list[dict[str, Any]]) -> str | None:
    """Why no rule is proposed for rows that nobody reads, where their columns tell."""
    if (one_object := _one_object(rows)) is not None:
        return one_object
    columns = columns_of(rows)
    fields = _fields([c for c in columns if not c.in_turn and not _is_step(c, columns)], tuple(WORDS))
    prompt, thought = fields.get("prompt"), fields.get("reasoning")
    talks = [c.path for c in columns if c.turns]
    if prompt is None and len(talks) > 1:
        return (
            f"{' and '.join(talks[:4])} are conversations, each with its own prompt and answer: write one row for "
            "each, with its model"
        )
    if prompt is None or "response" in fields:
        return None
    answer = next((c.path for c in columns if _MAY_BE_GOLD & {*c.own_words}), None)
    if thought and answer:
        return (
            f"{prompt} looks like a prompt and {thought} like reasoning, but no column like a response: map "
            f"fields.response to {answer} and fields.reasoning to {thought} if the teacher gave this answer, or "
            f"fields.response to {thought} and fields.answer to {answer} if it is the gold answer"
        )
    texts = [c.path for c in columns if c.sentences and not c.listed and c.path != prompt]
    if texts:
        return (
            f"{prompt} looks like a prompt, but no name says that {' or '.join(texts[:6])} is a response: map "
            "fields.response to it, or traces to those of several teachers"
        )
    return f"{prompt} looks like a prompt, but no column holds what a teacher wrote" + (
        f": {answer} is a single value, as gold answers are, and there is no trace in it" if answer else ""
    )


def _one_object(rows: list[dict[str, Any]]) -> str | None:
    """What is to be done with a file that is one object of many rows; None where it is not."""
    if by_columns(rows):
        return (
            "each column stands as an object that numbers its values, as pandas writes tables, and no rule reads that: "
            "write the file anew, one object per row (orient='records')"
        )
    if _by_id(rows):
        return (
            f"the file is one object that holds each row under a name of its own ({', '.join([*rows[0]][:2])}), and no "
            "rule reads that: write the file anew, one object per row (orient='records' for a table of pandas)"
        )
    return None


def by_columns(rows: list[dict[str, Any]]) -> bool:
    """Whether a file holds columns instead of rows, each an object that numbers its values."""
    if len(rows) != 1 or len(rows[0]) < 2:
        return False
    numbers = {tuple(v) if isinstance(v, dict) else () for v in rows[0].values()}
    return len(numbers) == 1 and all(n and all(str(key).isdigit() for key in n) for n in numbers)


def _by_id(rows: list[dict[str, Any]]) -> bool:
    """Whether a file is one object of many rows, each with its own prompt under its id."""
    if len(rows) != 1 or len(rows[0]) < 2 or not all(isinstance(v, dict) for v in rows[0].values()):
        return False
    shared = set.intersection(*({*map(str, v)} for v in rows[0].values()))
    return len(shared) > 1 and any({*words_of(key)} & {*WORDS["prompt"]} for key in shared)


def doubtful_answers(rows: list[dict[str, Any]], now: Reading) -> list[str]:
    """Paths of short answers of which no name says whether they are gold answers or what a model answered."""
    read = {path for file in now.columns.values() for paths in file.fields.values() for path in paths}
    said = {*_paths(now, "response")}
    columns = [c for c in columns_of(rows) if _MAY_BE_GOLD & {*c.own_words} and 0 < c.chars <= _GOLD_CHARS]
    columns = [c for c in columns if not _within(c, said)]
    return [
        c.path
        for c in columns
        if not (c.sentences or c.turns or c.in_turn or c.path in read or ".*." in c.path or _is_gold(c, said))
        and not {*c.words} & (_METADATA | _ABOUT)
        and not {*c.own_words} & _GIVEN
    ]


def _paths(reading: Reading, name: str) -> Iterable[str]:
    """The paths from which a name of ours was read."""
    return (path for file in reading.columns.values() for path in file.fields.get(name, ()))


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
    free = [c for c in columns if c.path not in read]
    said = {*_paths(now, "response"), *_paths(now, "reasoning"), *traces.values()}
    gold = [] if now.with_gold or "answer" in own.fields else [{"answer": c.path} for c in free if _is_gold(c, said)]
    named = now.named_by_file and "teacher" not in own.fields
    teacher = [{"teacher": c.path} for c in free if ".*." not in c.path and _is_teacher(c)] if named else []
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


def _is_teacher(column: Column) -> bool:
    """Whether a column says by its name that it has who answered; a list may name the teacher of each response."""
    # Of an object that describes a model, its name.
    named = {*column.words[:-1][-1:]} if column.own_words == ["name"] else {*column.own_words}
    short = 0 < column.chars <= _TEACHER_CHARS and not column.turns
    about = named & (_METADATA | _ABOUT | _GOLD_WORDS | _MAY_BE_GOLD)
    return bool(short and named & _NAMES_TEACHER and not about and not {*column.words} & _NO_ANSWERS)


def _is_gold(column: Column, said: Collection[str]) -> bool:
    """Whether a column says by its name that it has the gold answers; `said` are the paths of what teachers wrote."""
    words, own = {*column.words}, {*column.own_words}
    # Of a solution in words nobody could say which of them is the answer.
    bare = column.chars <= _GOLD_CHARS and not (column.sentences and "solution" in own)
    short = bare or any("\\boxed" in v or "####" in v for v in column.values)
    sure = own & _GOLD_WORDS and own != {"correct"}
    answers = own & _MAY_BE_GOLD or (own == {"value"} and words & _MAY_BE_GOLD)
    plain = answers and {word for word in words if not word.isdigit()} <= _PLAIN
    named = (sure or plain) and not words & (_METADATA | _ABOUT)
    # Where rewards are computed, the truth stands beside their settings.
    named = (named or {"ground", "truth"} <= own) and not own & _GIVEN
    return bool(short and named) and not (column.turns or _within(column, said) or column.values <= MISSING)


def _within(column: Column, said: Collection[str]) -> bool:
    """Whether a column is, or is a part of, what teachers wrote; what stands beside a message's text is none."""
    return not column.in_turn and any(f"{column.path}.".startswith(f"{path}.") for path in said)


def _proposals(columns: list[Column], several: list[dict[str, str]]) -> Iterable[dict[str, Any]]:
    """Keys of rules, those that say most first."""
    if len(several) > 1:
        # Of single columns, those of two teachers would be mixed.
        yield from _of_teachers(columns, several)
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


def _of_teachers(columns: list[Column], several: list[dict[str, str]]) -> Iterable[dict[str, Any]]:
    """Keys of rules that read several traces of a row."""
    used = {path for trace in several for key, path in trace.items() if key != "teacher"}
    others = [c for c in columns if c.path not in used]
    fields = _fields(others, ("prompt", "answer", "domain"))
    # Of a conversation that is the prompt of two teachers, the answer of one would be asked of the other.
    if "prompt" not in fields and any(c.turns for c in columns if c.path in used):
        return
    solution = next((c.path for c in others if "answer" not in fields and c.own_words[-1:] == ["solution"]), None)
    yield {"traces": several, "fields": fields | ({"answer": solution} if solution else {})}
    yield {"traces": several, "fields": fields}
    yield {"traces": several}


def _fields(columns: list[Column], names: tuple[str, ...]) -> dict[str, str]:
    """Our names to the columns that seem to be theirs, each column once: by its name, else by its length."""
    fields: dict[str, str] = {}

    def take(name: str, fits: Callable[[Column], bool]) -> None:
        free = [c for c in columns if name in names and c.path not in fields.values() and fits(c)]
        best = max(free, key=lambda c: (_score(c, name), c.chars), default=None)
        if best is not None and _score(best, name) > 0:
            fields[name] = best.path

    def text(c: Column) -> bool:
        return c.chars > 0 and not c.turns

    def prose(c: Column) -> bool:
        return text(c) and c.sentences and not {*c.own_words} & (_METADATA | _ABOUT)

    def label(c: Column) -> bool:
        return text(c) and not c.listed and c.chars <= _TEACHER_CHARS

    def says_all(c: Column) -> bool:
        long = c.chars > _SHORTEST_CHARS or any(prose(other) and _score(other, "reasoning") for other in columns)
        return prose(c) and long and (c.thinks or not _score(c, "reasoning"))

    def beside(c: Column) -> bool:
        return ".*." in fields.get("response", "") and _above(c) == _above_path(fields["response"])

    take("prompt", lambda c: prose(c) and not c.listed and not _score(c, "reasoning"))
    for name in ("licence", "domain"):
        take(name, label)
    take("response", says_all)
    take("teacher", lambda c: _is_teacher(c) and (not c.listed or beside(c)))
    take("answer", lambda c: ".*." not in c.path and _is_gold(c, [fields.get("response", "")]))
    # Names in another language: the longest text is the response, the other is the prompt; of more nobody could tell.
    free = [c for c in columns if prose(c) and c.path not in fields.values()]
    by_length = sorted((c for c in free if not _score(c, "domain")), key=lambda c: -c.chars)
    unnamed = [c for c in by_length if says_all(c) and not _score(c, "prompt")]
    if "response" in names and "response" not in fields and 0 < len(unnamed) <= 1 + ("prompt" not in fields):
        fields["response"] = unnamed[0].path
    rest = [c for c in by_length if c.path not in fields.values() and not c.thinks]
    questions = [c for c in rest if not (_score(c, "response") or _score(c, "reasoning"))]
    if "prompt" in names and "prompt" not in fields and questions:
        fields["prompt"] = max(questions, key=lambda c: (len(c.values), c.chars)).path
    # What was thought stands where the answer stands, in a list for each.
    siblings = [c for c in columns if _above(c) == _above_path(fields.get("response", ""))]
    thoughts = [c for c in siblings if prose(c) and _score(c, "reasoning")]
    take("reasoning", lambda c: c in thoughts if thoughts else prose(c) and not c.listed)
    if "response" in names and (correct := next((c for c in siblings if beside(c) and _is_label(c)), None)):
        fields["label"] = correct.path
    order = [*WORDS, "label"]
    return dict(sorted(fields.items(), key=lambda item: order.index(item[0])))


def _is_label(column: Column) -> bool:
    """Whether a column says whether a response is correct."""
    return column.own_words[-1:] in (["correct"], ["label"]) and column.values <= {"True", "False"}


def _score(column: Column, name: str) -> int:
    """How much a column's name says that it is ours of this name: its last part more than what stands above it."""
    if {*column.own_words} & _METADATA:
        return 0
    words = WORDS[name]

    def best(of: list[str]) -> int:
        return max((len(words) - words.index(word) for word in of if word in words), default=0)

    return 2 * best(column.own_words) or best(column.words)


def _teachers(columns: list[Column], name: str | None) -> list[dict[str, str]]:
    """Traces of teachers in columns whose names differ by the teacher's (`x_attempt`, `y_attempt`), several of one
    teacher (`x_attempt_1`, `x_attempt_2`), or two of which one was preferred.

    Where nothing but a number tells them apart (`attempt_1`, `attempt_2`), they are all of the teacher that a column
    names, else of `name`.
    """
    by_trace: dict[tuple[str, str], dict[str, Column]] = {}
    for column in columns:
        parts = [word for word in re.split(r"[^A-Za-z0-9]+", column.path) if word]
        rest = [word for word in parts if word.lower().rstrip("s") not in _ROLES]
        role = _role(column)
        if role is None or len(rest) == len(parts) or not rest:
            continue
        number = "-".join(word for word in rest if word.isdigit())
        by_trace.setdefault(("-".join(w for w in rest if not w.isdigit()), number), {}).setdefault(role, column)
    # An object that has a question of its own is a row under a name, and no teacher's.
    asking = {_above(c) for c in columns if "." in c.path and c.sentences and _score(c, "prompt")}
    general = next(({"teacher_field": c.path} for c in columns if _is_teacher(c) and not c.listed), None)
    fields = []
    for (teacher, _), roles in by_trace.items():
        response = roles.get("response")
        whose = {"teacher": teacher} if teacher else None
        if "teacher" in roles:
            whose = {"teacher_field": roles["teacher"].path}
        whose = whose or general or ({"teacher": name} if name else None)
        if response is None or whose is None or _score(response, "prompt") or _above(response) in asking:
            continue
        # A short answer is one where reasoning stands beside it.
        if response.turns or (response.sentences and response.chars > _SHORTEST_CHARS) or "reasoning" in roles:
            texts = {role: column.path for role, column in sorted(roles.items(), reverse=True) if role != "teacher"}
            fields.append({**whose, **texts})
    return fields if len(fields) > 1 else _pair(columns) or fields


def _role(column: Column) -> str | None:
    """What a column holds of a teacher's trace, by its name."""
    own = {*column.own_words}
    if {*column.words} & (_ABOUT | _METADATA):
        return None
    if _is_teacher(column) and not own & {*WORDS["response"]}:
        return "teacher"
    if not (column.turns or column.chars):
        return None
    return "reasoning" if column.sentences and {*column.words} & {*WORDS["reasoning"], "trajectory"} else "response"


def _above(column: Column) -> str:
    """The path of the object in which a column stands; empty for one of the row itself."""
    return _above_path(column.path)


def _above_path(path: str) -> str:
    return path.rpartition(".")[0]


def _pair(columns: list[Column]) -> list[dict[str, str]]:
    """A trace that was preferred and one that was not, each by the model that a column names, where one does."""
    by_path = {c.path: c for c in columns}
    if not all(name in by_path for name in _PAIR):
        return []

    def model(name: str) -> dict[str, str]:
        about = [c for c in columns if name in c.own_words and "model" in c.own_words and c.values]
        # Of one model in the first rows too: there may be others further down.
        return {"teacher_field": about[0].path} if about else {"teacher": name}

    return [{**model(name), "response": name} for name in _PAIR]
