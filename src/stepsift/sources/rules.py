"""One rule of `ingest.files` put into the text of params.yaml or taken out of it; every other byte stays as it was.

YAML's own parser says where things stand, and text is cut or put in there: a writer of YAML would lay out the rest of
the file anew. What comes out is read again and compared with what was meant.
"""

from typing import Any

import yaml

from stepsift import params
from stepsift.core.errors import ParamsError
from stepsift.ingest.files import find as files

Rule = dict[str, Any]
"""A rule as params.yaml has it, `match` among its keys."""


def rules(text: str) -> list[Rule]:
    """The rules that params.yaml holds, in its order."""
    return list(((yaml.safe_load(text) or {}).get("ingest") or {}).get("files") or [])


def as_rule(rule: params.FileRule) -> Rule:
    """A rule without what it leaves to defaults."""
    return rule.model_dump(mode="json", exclude_defaults=True)


def one_line(rule: Rule) -> str:
    """`{match: r1.jsonl, teacher: R1}`"""
    text = yaml.safe_dump(rule, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    return text.rstrip("\n")


def with_rule(text: str, rule: Rule) -> str:
    """Put a rule before the first one that would read the same file, else behind all.

    Raises ParamsError where section `ingest` or its list `files` is written in a form that nothing can be put into.
    """
    before = rules(text)
    place = next((i for i, r in enumerate(before) if files.matches(rule["match"], r["match"])), len(before))
    _, ingest = _ingest(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    found = _files(ingest)
    if not ingest.value:
        piece = f"{newline}  files:{newline}    - {one_line(rule)}"
        new = text[: ingest.start_mark.index].rstrip(" ") + piece + text[ingest.end_mark.index :]
    elif found is None:
        indent = " " * ingest.value[0][0].start_mark.column
        piece = f"{indent}files:{newline}{indent}  - {one_line(rule)}{newline}"
        new = _put(text, _line_end(text, _end(ingest)), piece, newline)
    else:
        items = found[1].value
        line = f"{' ' * found[1].start_mark.column}- {one_line(rule)}{newline}"
        at = _line_start(text, items[place]) if place < len(items) else _line_end(text, _end(found[1]))
        new = _put(text, at, line, newline)
    return _checked(new, [*before[:place], rule, *before[place:]])


def without_rule(text: str, match: str) -> str:
    """Take out the rule whose `match` is this, and the key `files` with the last one.

    Raises ParamsError as `with_rule` does; a text that holds no such rule is returned as it is.
    """
    before = rules(text)
    place = next((i for i, r in enumerate(before) if r.get("match") == match), None)
    if place is None:
        return text
    key, ingest = _ingest(text)
    found = _files(ingest)
    assert found is not None  # or there would be no rule
    after = before[:place] + before[place + 1 :]
    if after:
        item = found[1].value[place]
        new = _cut(text, _line_start(text, item), _line_end(text, _end(item)))
    elif len(ingest.value) == 1:
        new = text[: key.end_mark.index] + ": {}" + text[_end(ingest) :]
    else:
        new = _cut(text, _line_start(text, found[0]), _line_end(text, _end(found[1])))
    return _checked(new, after)


def _ingest(text: str) -> tuple[yaml.Node, yaml.MappingNode]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value == "ingest" and isinstance(value, yaml.MappingNode) and (not value.flow_style or not value.value):
            return key, value
    raise ParamsError(
        ["section 'ingest' of params.yaml is missing or in braces; write it with one key a line, or as 'ingest: {}'"]
    )


def _files(ingest: yaml.MappingNode) -> tuple[yaml.Node, yaml.SequenceNode] | None:
    for key, value in ingest.value:
        if key.value == "files":
            if isinstance(value, yaml.SequenceNode) and not value.flow_style:
                return key, value
            raise ParamsError(
                ["ingest.files of params.yaml is no list with one rule ('- {match: ..}') a line; write it so"]
            )
    return None


def _checked(text: str, expected: list[Rule]) -> str:
    try:
        seen = rules(text)
    except yaml.YAMLError:
        seen = []
    if seen != expected:
        lines = "; ".join(f"- {one_line(rule)}" for rule in expected)
        raise ParamsError(
            [f"ingest.files of params.yaml is laid out in a way that stepsift cannot edit; write it: {lines}"]
        )
    return text


def _end(node: yaml.Node) -> int:
    """Where the last value within a node ends; what YAML calls the end of a block is behind the comments after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    # The end of a text in block form is the beginning of another line.
    return node.end_mark.index - (node.end_mark.column == 0)


def _line_start(text: str, node: yaml.Node) -> int:
    return text.rfind("\n", 0, node.start_mark.index) + 1


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _put(text: str, at: int, lines: str, newline: str) -> str:
    if at == len(text) and not text.endswith("\n"):
        return text + newline + lines.removesuffix(newline)
    return text[:at] + lines + text[at:]


def _cut(text: str, start: int, end: int) -> str:
    if end == len(text) and not text.endswith("\n"):
        return text[:start].removesuffix("\n").removesuffix("\r")
    return text[:start] + text[end:]
