"""What a re-curation rests on, what it changed, and the text of its pull request; `run.py` runs the commands.

All of it works on the contents of dvc.lock files and on what other commands said: nothing is read or run here.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepsift.core.errors import StepsiftError
from stepsift.core.text import count, markdown_cell, markdown_code, one_line

MOST_CHARS = 60_000
"""Of a pull request's text; GitHub refuses more than 65,536."""
MOST_LINES = 30
"""Of each list: inputs, commits, files."""
_SETS_CHARS, _METRICS_CHARS = 30_000, 15_000
_MD5_CHARS = 8
_MOST_ITEM_CHARS, _MOST_NOTE_CHARS = 300, 2_000
"""Of a commit's subject or a file's name, and of a note: none may take the place of all others."""
_MOST_TITLE_CHARS = 200
"""Of a pull request; GitHub refuses more than 256."""


class RecurationError(StepsiftError, RuntimeError):
    """The pipeline cannot be run on what is committed, or its results cannot be shared."""


@dataclass(frozen=True)
class Proposal:
    """What a pull request tells.

    `changes` are (input, before, after) as of `input_changes`; `commits` and `files` came since dvc.lock was last
    written; `sets` is what `stepsift diff --markdown` says and `metrics` what `dvc metrics diff --json` says (file to
    name to old, new and diff); `charts` are (name, address), an address being a URL or what `git show` takes; `notes`
    are sentences on what did not go as usual.
    """

    base: str
    branch: str
    changes: Sequence[tuple[str, str, str]] = ()
    commits: Sequence[str] = ()
    files: Sequence[str] = ()
    sets: str = ""
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    charts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def inputs(lock: Mapping[str, Any]) -> dict[str, str]:
    """Name to value of everything that decides the outputs that a dvc.lock describes.

    These are commands, parameters, and the MD5s of dependencies that no stage makes.
    """
    stages = lock.get("stages") or {}
    made = {out["path"] for stage in stages.values() for out in stage.get("outs", [])}
    values: dict[str, str] = {}
    for name, stage in stages.items():
        values[f"command of {name}"] = stage["cmd"]
        for file, sections in stage.get("params", {}).items():
            values |= {f"{file}: {key}": value for key, value in _flat(sections)}
        for dep in stage.get("deps", []):
            path = dep["path"]
            if not any(path == m or path.startswith(f"{m}/") for m in made):
                values[path] = dep["md5"]
    return values


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested mappings with their dotted names; values as JSON."""
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _flat(below, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value, ensure_ascii=False, default=str)


def identifier(lock: Mapping[str, Any]) -> str:
    """10 hexadecimal digits of the inputs: two runs on the same inputs propose the same branch."""
    return hashlib.sha256(json.dumps(inputs(lock), sort_keys=True).encode()).hexdigest()[:10]


def input_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(input, before, after) of all that differ, sorted by name; an empty text where one has no such input."""
    old, new = inputs(before), inputs(after)
    names = sorted(n for n in {*old, *new} if old.get(n) != new.get(n))
    return [(n, _short(old.get(n, "")), _short(new.get(n, ""))) for n in names]


def _short(value: str) -> str:
    """MD5s by their first digits, everything else whole."""
    digits = value.removesuffix(".dir")
    is_md5 = len(digits) == 32 and all(c in "0123456789abcdef" for c in digits)
    return digits[:_MD5_CHARS] if is_md5 else value


def title(base: str) -> str:
    """The title of the pull request and of its commit; `base` is the short id and the subject of a commit."""
    return one_line(f"Re-curate {base}", _MOST_TITLE_CHARS)


def markdown(proposal: Proposal) -> str:
    """The pull request's text, of at most MOST_CHARS; what is cut says so."""
    parts = [
        f"The pipeline was run on {markdown_code(proposal.base, _MOST_ITEM_CHARS)}. This branch holds its `dvc.lock` "
        "and metrics; the data were pushed to DVC's remote before. Nothing ran for this page that `dvc repro` would "
        "not run.",
        *(f"**Note**: {markdown_code(note, _MOST_NOTE_CHARS)}" for note in proposal.notes),
        "## What changed in the inputs",
        _inputs_table(proposal.changes),
        _list("Commits since `dvc.lock` was last written", proposal.commits),
        _list("Files that they changed below these inputs", proposal.files),
        _charts(proposal.charts),
        _cut(proposal.sets, _SETS_CHARS, "stepsift diff"),
        "## Metrics",
        _details("`dvc metrics diff`", _cut(_metrics_table(proposal.metrics), _METRICS_CHARS, "dvc metrics diff")),
    ]
    text = "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
    return _cut(text, MOST_CHARS, "the branch's files")


def _inputs_table(changes: Sequence[tuple[str, str, str]]) -> str:
    if not changes:
        return "None: an output was not what `dvc.lock` said of it."
    rows = [" | ".join(markdown_cell(cell, 200) for cell in change) for change in changes[:MOST_LINES]]
    table = "\n".join(["| input | before | after |", "|---|---|---|", *(f"| {row} |" for row in rows)])
    return table + (f"\n\nand {len(changes) - MOST_LINES} more." if len(changes) > MOST_LINES else "")


def _list(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    lines = [f"- {markdown_code(item, _MOST_ITEM_CHARS)}" for item in items[:MOST_LINES]]
    more = [f"- and {len(items) - MOST_LINES} more"] if len(items) > MOST_LINES else []
    return "\n".join([f"{title}:", "", *lines, *more])


def _charts(charts: Sequence[tuple[str, str]]) -> str:
    """Pictures; a list for `git show` where no server shows them."""
    shown = [f"![{one_line(name)}]({address})" for name, address in charts if "://" in address]
    listed = [address for _, address in charts if "://" not in address]
    parts = [*shown, _list("PNG files, for `git show NAME > FILE.png` after a `git fetch`", listed)]
    return "\n\n".join(["## Charts", *parts]) if charts else ""


def _metrics_table(changes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A row per metric that changed, sorted: DVC's order of files differs from run to run. Empty where none did."""
    rows = [
        f"| {markdown_cell(file)} | {markdown_cell(name, 200)} | "
        f"{' | '.join(_number(values.get(key)) for key in ('old', 'new', 'diff'))} |"
        for file, metrics in sorted(changes.items())
        for name, values in sorted(metrics.items())
    ]
    return "\n".join(["| file | metric | before | after | change |", "|---|---|---|---|---|", *rows]) if rows else ""


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else "-" if value is None else markdown_cell(str(value), 200)


def _details(summary: str, text: str) -> str:
    return (
        f"<details><summary>{summary}</summary>\n\n{text.strip()}\n\n</details>"
        if text.strip()
        else "No metric changed."
    )


def _cut(text: str, most: int, where: str) -> str:
    """Whole lines of at most `most` characters in all."""
    if len(text) <= most:
        return text
    lines, total = [], 0
    for line in text.splitlines():
        total += len(line) + 1
        if total > most - 200:
            break
        lines.append(line)
    left = len(text.splitlines()) - len(lines)
    return "\n".join([*lines, "", f"Cut here, {count(left, 'line')} before the end; {where} has the rest."])
