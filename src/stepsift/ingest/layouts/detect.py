"""The layouts of source rows: one module each, and how to tell them apart."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from stepsift.ingest.layouts import alpaca, chat, fields, generations, messages, prompt_completion, sharegpt
from stepsift.ingest.paths import column, parsed, turns, walk, without_commas
from stepsift.ingest.record import Record
from stepsift.ingest.row import GENERATIONS, GUESSES, Row, no_commas, some_names
from stepsift.ingest.rows import RowError

READERS: Mapping[str, Callable[[Row], list[Record | RowError]]] = {
    "chat": chat.read,
    "sharegpt": sharegpt.read,
    "prompt_completion": prompt_completion.read,
    "alpaca": alpaca.read,
    "generations": generations.read,
    "fields": fields.read,
}

MEDIA_COLUMNS = ("image", "images", "video", "videos", "audio", "audios")
"""Columns that hold what is no text; where one is filled, the prompt is not whole without it."""
_MEDIA = frozenset(MEDIA_COLUMNS)


def read(row: Row) -> list[Record | RowError]:
    """The records of a row, or what was wrong with single ones; raise RowError where the whole row is wrong."""
    medium = None
    if not _MEDIA.isdisjoint(row.data):
        medium = next((name for name in MEDIA_COLUMNS if row.data.get(name)), None)
    if medium is not None:
        raise RowError("images", f"the row holds {medium}: only plain text is read")
    if row.rule.traces:
        return _several(row)
    return READERS[detect_layout(row) if row.rule.layout == "auto" else row.rule.layout](row)


def _several(row: Row) -> list[Record | RowError]:
    """The records of a row that holds traces of several teachers in columns of its own."""
    traces = [t for t in row.rule.traces if walk(row.data, t.response) is not None]
    if not traces:
        names = ", ".join(t.response for t in row.rule.traces)
        raise RowError("missing_field", f"traces: none of {names} is there, or all are null; the row has {row.names()}")
    paths = (path for t in row.rule.traces for path in (t.response, t.reasoning, t.label, t.teacher_field) if path)
    columns = {column(row.data, path) for path in paths}
    found: list[Record | RowError] = []
    for trace in traces:
        own = {"response": trace.response, "reasoning": trace.reasoning, "label": trace.label}
        own["teacher"] = trace.teacher_field
        rule = row.rule.model_copy(update={"traces": (), "layout": "auto", "fields": {**row.rule.fields, **own}})
        part = Row(row.data, rule, columns)
        for record in _records(part):
            if isinstance(record, RowError) or trace.teacher is None:
                found.append(record)
            else:
                found.append(replace(record, teacher=trace.teacher))
        row.used |= {f"{name} of {trace.whose}" if name in own else name: path for name, path in part.used.items()}
        row.read |= part.read
    errors = [record for record in found if isinstance(record, RowError)]
    if len(errors) == len(found) and len({str(error) for error in errors}) == 1:
        raise errors[0]
    return found


def _records(row: Row) -> list[Record | RowError]:
    """The records of one teacher's columns, whose errors are its own: the others' traces are whole."""
    try:
        return READERS[detect_layout(row)](row)
    except RowError as e:
        return [e]


def detect_layout(row: Row) -> str:
    """The layout of a row by its field names; raise RowError where none fits.

    OpenR1's rows hold `generations` and `messages` at once: generations come first. A mapped response is a list of
    generations or a named field.
    """
    if row.fields.get("response"):
        _, value = row.find("response")
        several = isinstance(value, list) and not (messages.are_turns(value) or messages.are_parts(value))
        return "generations" if several else "fields"
    if _in_steps(row):
        raise RowError(
            "unknown_layout",
            "completions and labels are one response in steps, as TRL has them, and no whole responses: join the "
            "steps; or map response and label to them if each is a response",
        )
    if any(map(_texts, row.values(GENERATIONS))):
        return "generations"
    dialogue = _conversation(row)
    responds = bool(row.values(GUESSES["response"]))
    if dialogue is not None and not (responds and not _answered(dialogue)):
        first = dialogue[0] if dialogue else None
        return "sharegpt" if isinstance(first, dict) and "from" in first else "chat"
    if row.has("prompt", "completion"):
        return "prompt_completion"
    if row.has("instruction", "output"):
        return "alpaca"
    asks = dialogue is not None or row.rule.prompt_template or row.fields.get("prompt")
    if responds and (asks or row.values(GUESSES["prompt"])):
        return "fields"
    if written := next((n for n, v in row.data.items() if isinstance(v, str) and without_commas(v)), None):
        raise no_commas(written)
    raise RowError(
        "unknown_layout",
        f"no known layout has the fields {_filled(row)}; map them in a rule, as 'stepsift preview' proposes",
    )


def _in_steps(row: Row) -> bool:
    """Whether a row is stepwise supervision: a list of steps, and for each whether it is right."""
    steps, labels = row.get("completions"), row.get("labels")
    texts = isinstance(steps, list) and all(isinstance(step, str) for step in steps)
    return texts and isinstance(labels, list) and len(labels) == len(steps)


def _filled(row: Row) -> str:
    """The names of a row's fields for a message; those that would be read and are null are said to be so."""
    known = {row.column(name) for name in (*GUESSES["prompt"], *GUESSES["response"], *GENERATIONS, *chat.NAMES)}
    null = [name for name, value in row.data.items() if value is None and name in known]
    filled = some_names(str(name) for name in row.data if name not in null)
    return f"{filled} ({some_names(null)} {'is' if len(null) == 1 else 'are'} null)" if null else filled


def _texts(value: object) -> bool:
    """Whether a value is a list of texts or of conversations, or JSON of one."""
    if isinstance(value, str) and without_commas(value):  # said where it is read
        return True
    value = parsed(value) if isinstance(value, str) else value
    return isinstance(value, list) and (not value or isinstance(value[0], str) or messages.are_turns(value[0]))


def _answered(dialogue: list[object]) -> bool:
    """Whether somebody else than a user or a system speaks in a conversation, well or badly written."""
    roles = [turn.get("role") or turn.get("from") if isinstance(turn, dict) else None for turn in dialogue]
    return not all(role in ("system", "developer", "user", "human") for role in roles)


def _conversation(row: Row) -> list[object] | None:
    """The list that holds a whole conversation, where the row has one."""
    if row.rule.prompt_template:
        return None
    if row.fields.get("prompt"):
        _, value = row.find("prompt")
        whole = isinstance(value, list) and not row.data.keys() & {"completion", "output", *GUESSES["response"]}
        return value if whole else None
    return next((value for value in map(turns, row.values(chat.NAMES)) if isinstance(value, list)), None)
