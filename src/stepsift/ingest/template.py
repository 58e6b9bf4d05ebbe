"""A prompt made of several columns by a template, without code."""

import string
from collections.abc import Mapping
from typing import Any

from stepsift.ingest.paths import walk
from stepsift.ingest.rows import RowError, kind_of


def columns(template: str) -> list[str]:
    """The paths that a template names."""
    return [name.removesuffix("?") for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def render(template: str, data: Mapping[str, Any]) -> str:
    """The template with the values of a row; raise RowError where one is missing that may not be.

    A line whose only columns are optional (`{context?}`) and missing is left out.
    """
    lines = []
    for line in template.splitlines():
        parts = list(string.Formatter().parse(line))
        names = [name for _, name, _, _ in parts if name is not None]
        values = [_value(name, data) for name in names]
        if names and not any(values):
            continue
        filled = iter(values)
        lines.append("".join(text + (next(filled) if name is not None else "") for text, name, _, _ in parts))
    return "\n".join(lines)


def _value(name: str, data: Mapping[str, Any]) -> str:
    path = name.removesuffix("?")
    value = walk(data, path)
    if value in (None, "", []):
        if name != path:
            return ""
        raise RowError(
            "missing_field",
            f"prompt: column '{path}' of prompt_template is missing or empty; write {{{path}?}} if it may be",
        )
    return _text(value, path)


def _text(value: object, path: str) -> str:
    """A value as people read it; of options each is a line."""
    options = _options(value)
    if options:
        return "\n".join(f"{letter}. {text}" for letter, text in options)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowError(
            "wrong_type", f"prompt: column '{path}' is {kind_of(value)}, it must be text, a number or options"
        )
    return str(value)


def _options(value: object) -> list[tuple[str, str]]:
    """(letter, text) of options: a list of texts, `{A: text}`, or the two lists `{label: [..], text: [..]}`."""
    if isinstance(value, dict) and isinstance(value.get("label"), list) and isinstance(value.get("text"), list):
        return [(str(a), str(b)) for a, b in zip(value["label"], value["text"], strict=False)]
    if isinstance(value, dict):
        return [(str(key), str(text)) for key, text in value.items() if text is not None]
    if isinstance(value, list):
        return [(chr(ord("A") + i % 26), str(text)) for i, text in enumerate(value)]
    return []
