"""The layouts of source rows: one module each, and how to tell them apart."""

from collections.abc import Callable, Mapping

from stepsift.ingest.layouts import alpaca, chat, fields, generations, prompt_completion, sharegpt
from stepsift.ingest.record import Record
from stepsift.ingest.rows import GUESSES, Row, RowError
from stepsift.params import Layout

READERS: Mapping[str, Callable[[Row], list[Record | RowError]]] = {
    "chat": chat.read,
    "sharegpt": sharegpt.read,
    "prompt_completion": prompt_completion.read,
    "alpaca": alpaca.read,
    "generations": generations.read,
    "fields": fields.read,
}


def read(row: Row, layout: Layout = "auto") -> list[Record | RowError]:
    """The records of a row, or what was wrong with single ones; raise RowError where the whole row is wrong."""
    return READERS[detect(row) if layout == "auto" else layout](row)


def detect(row: Row) -> str:
    """The layout of a row by its field names; raise RowError where none fits.

    OpenR1's rows hold `generations` and `messages` at once: generations come first. A mapped response is a list of
    generations or a named field.
    """
    has = {name for name, value in row.data.items() if value is not None}
    if "response" in row.fields:
        _, value = row.find("response")
        several = isinstance(value, list) and not (len(value) == 1 and isinstance(value[0], dict))
        return "generations" if several else "fields"
    if isinstance(row.data.get("generations"), list):
        return "generations"
    turns = _conversation(row)
    if turns is not None:
        first = turns[0] if turns else None
        return "sharegpt" if isinstance(first, dict) and "from" in first else "chat"
    if {"prompt", "completion"} <= has:
        return "prompt_completion"
    if {"instruction", "output"} <= has:
        return "alpaca"
    prompt_known = "prompt" in row.fields or has & set(GUESSES["prompt"])
    if prompt_known and has & set(GUESSES["response"]):
        return "fields"
    raise RowError(
        "unknown_layout",
        f"no known layout has the fields {row.names()}; set layout ({', '.join(READERS)}) and fields in ingest",
    )


def _conversation(row: Row) -> list[object] | None:
    """The list that holds a whole conversation, where the row has one."""
    if "prompt" in row.fields:
        _, value = row.find("prompt")
        whole = isinstance(value, list) and not row.data.keys() & {"completion", "output", *GUESSES["response"]}
        return value if whole else None
    return next((row.data[n] for n in chat.NAMES if isinstance(row.data.get(n), list)), None)
