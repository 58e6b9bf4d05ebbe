"""Problems that pydantic finds, each in one sentence of ours."""

import datetime
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from stepsift.core.text import did_you_mean
from stepsift.params._rules import FieldName


def key_path(where: tuple[int | str, ...]) -> str:
    """A location of pydantic's as the path of a key of params.yaml: `select.selectors.0.by`."""
    return ".".join(str(p) for p in where if not _is_of_type(p))


def _is_of_type(part: int | str) -> bool:
    """Whether a part of a location names one of several types, or a tag of ours, and no key."""
    return part in ("int", "float", "constrained-int", "constrained-float") or str(part).startswith("(")


_MESSAGES = {
    "model_type": "must hold keys and their values",
    "dict_type": "must hold keys and their values",
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must begin with a letter or a digit and hold only those, '.', '_' and '-', at most 100",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
}
"""pydantic's types of errors in our words; the braces are filled from its context."""


_SECRETS = re.compile(r"(https?://)[^/@\s]+(?=@)|(https?://[^\s?#]*[?#])[^\s'\"]+", re.IGNORECASE)
"""User and password, query and fragment of an address."""


def sentence(path: str, problem: Any, root: type[BaseModel]) -> str:
    """One sentence for one pydantic error of the model `root`: where, what was wrong, what is allowed."""
    where, kind = problem["loc"], problem["type"]
    if kind in ("extra_forbidden", "invalid_key"):
        return _unknown_key(path, where, _keys_at(where[:-1], root))
    if where[-1:] == ("[key]",):
        path, where = path.removesuffix(".[key]"), where[:-1]
        if "fields" in where:
            return _unknown_key(path, where, list(get_args(FieldName)))
        return f"'{path}' is a key that is not text; put it in quotes"
    if kind == "missing":
        return f"key '{path}' is missing"
    value, context = problem["input"], problem.get("ctx", {})
    # pydantic keeps the limits of a float as floats: "above 0.0".
    limits = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in context.items()}
    message = _MESSAGES[kind].format(**limits) if kind in _MESSAGES else problem["msg"]
    if kind == "model_type" and value is None and len(where) == 1:
        message += ", or {} for all defaults"
    elif kind == "tuple_type" and isinstance(value, str | int | float):
        message += f", as in [{shown(value)}]"
    elif kind == "string_type" and isinstance(value, int | float | datetime.date):
        message += "; put it in quotes"
    return f"'{path}' is {shown(value)}: {message}" if path else message


def _unknown_key(path: str, where: tuple[int | str, ...], known: list[str]) -> str:
    place = f" in '{key_path(where[:-1])}'" if len(where) > 1 else ""
    return f"unknown key '{path}'{did_you_mean(str(where[-1]), known)}; known{place} are {', '.join(known)}"


def shown(value: object) -> str:
    """A value as its YAML has it, cut where it is long."""
    if value is None:
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, datetime.date):
        text = str(value)
    # What stands where a user, a password or a key may stand is not shown to whoever reads the log.
    text = _SECRETS.sub(lambda m: f"{m[1] or m[2]}***", text)
    return text if len(text) <= 80 else text[:77] + "..."


def _keys_at(where: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The valid keys of the model to which a location below `model` leads."""
    for part in where:
        if isinstance(part, str) and not _is_of_type(part):
            model = next(_models(model.model_fields[part].annotation))
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
