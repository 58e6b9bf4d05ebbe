"""The last link: does each curated set hold what its manifest says, and each export what the tables hold?"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import table_files, tables
from stepsift.core.disk import file_md5
from stepsift.core.errors import TableError
from stepsift.core.text import count
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.history import CURATED
from stepsift.select.manifest import Manifest, fingerprint
from stepsift.select.step_masks import DETAIL

MANIFEST = "manifest.json"
ABOUT = frozenset({MANIFEST, "README.md", "croissant.json"})
"""Files that are made from the manifest, and that it does not name."""
_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool"}
"""ShareGPT's words for the usual ones."""

_KEYS = ("prompt_id", "teacher", "licence", "source", "source_line")
"""What a row of an export says of its trace; a layout may leave some of it out."""

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, pl.exceptions.PolarsError)
"""What reading a manifest, a table or an export raises that anybody may have written."""

Messages = list[dict[str, str]]
Expected = dict[str, tuple[dict[str, Any], Messages]]
"""Trace id to what a row should say of it, and its messages."""


def check_exports(folders: Mapping[str, Path]) -> list[CheckResult]:
    """A link for each curated set below select's output; `folders` maps a stage to its output."""
    set_folders = sorted(p.parent for p in folders["select"].glob(f"*/{CURATED}"))
    if not set_folders:
        return [CheckResult("exports", "", (f"{folders['select']} holds no curated set; run 'dvc repro select'",))]
    inputs = _inputs(folders)
    return [_check_set(folder, folders, inputs) for folder in set_folders]


def _inputs(folders: Mapping[str, Path]) -> dict[str, Any]:
    """What the manifests should say of their inputs."""
    files = {tables.PROMPTS.file: "ingest", tables.TRACES.file: "ingest", tables.STEP_SCORES.file: "score"}
    paths = {name: folders[stage] / name for name, stage in files.items()}
    sources = folders["ingest"] / "sources.json"
    return {
        "tables": {name: file_md5(path) for name, path in paths.items() if path.is_file()},
        "sources": json.loads(sources.read_bytes()) if sources.is_file() else None,
    }


def _check_set(folder: Path, folders: Mapping[str, Path], inputs: dict[str, Any]) -> CheckResult:
    name = f"set {folder.name}"
    path = folder / MANIFEST
    try:
        manifest: Manifest = json.loads(path.read_bytes())
        broken = _manifest(folder, manifest, inputs) + _reference(path, manifest, folders["score"])
        curated = table_files.read(tables.CURATED, folder / CURATED)
        expected, wrong = _expected(curated, manifest["selector"]["by"], folders)
        broken += wrong
        if fingerprint(curated["trace_id"]) != manifest["fingerprint"]:
            broken.append(f"{path} has the fingerprint of a selection that differs from {CURATED}")
        with_rows = sorted(n for n, about in manifest["files"].items() if about["rows"] is not None)
        exports = [n for n in with_rows if n != CURATED and (folder / n).is_file()]
        for file in exports:
            broken += _compare(folder / file, expected)
    except _UNREADABLE as e:
        problem = str(e) if isinstance(e, TableError) else f"{folder} cannot be read as a curated set ({e!r})"
        return CheckResult(name, "", (problem,))
    return CheckResult(
        name,
        f"{count(curated.height, 'trace')}, manifest and {', '.join(exports)} agree with the tables",
        tuple(broken),
    )


def _manifest(folder: Path, manifest: Manifest, inputs: dict[str, Any]) -> list[str]:
    """Files that are not as the manifest says, and inputs that it was not made from."""
    broken = []
    for name, about in sorted(manifest["files"].items()):
        file = folder / name
        if not file.is_file():
            broken.append(f"{file} is missing")
        elif (seen := file_md5(file)) != about["md5"]:
            broken.append(f"{file} was changed (MD5 {seen}, the manifest has {about['md5']})")
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    broken += [f"{folder / n} is in no manifest" for n in sorted(there - ABOUT - set(manifest["files"]))]
    inputs_then = manifest["inputs"]
    for name, md5 in sorted(inputs["tables"].items()):
        if inputs_then["tables"].get(name) != md5:
            broken.append(f"{folder / MANIFEST} was made from a different {name}")
    if inputs_then["sources"] != inputs["sources"]:
        broken.append(f"{folder / MANIFEST} was made from other sources than sources.json names")
    return broken


def _reference(path: Path, manifest: Manifest, scored: Path) -> list[str]:
    """Whether the scores of a second model are those that the manifest names."""
    about = manifest.get("reference")
    if about is None:
        return []
    table = scored / "references" / str(about["name"]) / tables.STEP_SCORES.file
    if not table.is_file():
        return [f"{path} names scores of reference '{about['name']}', and there is no {table}"]
    return [] if file_md5(table) == about["md5"] else [f"{path} was made from other scores than {table}"]


def _expected(curated: pl.DataFrame, by: str, folders: Mapping[str, Path]) -> tuple[Expected, list[str]]:
    """What the exports should hold; and rows of curated that other tables do not bear out."""
    own = pl.col("trace_id").is_in(curated["trace_id"].implode())
    traces = table_files.read_part(tables.TRACES, folders["ingest"] / tables.TRACES.file, where=own)
    scores = table_files.read_part(tables.TRACE_SCORES, folders["select"] / tables.TRACE_SCORES.file, where=own)
    texts = pl.col("prompt_id").is_in(traces["prompt_id"].implode())
    prompts = table_files.read_part(tables.PROMPTS, folders["ingest"] / tables.PROMPTS.file, where=texts)
    about = traces.select("trace_id", "prompt_id", "teacher").join(
        scores.select("trace_id", score=pl.col(by)), on="trace_id", how="left"
    )
    rows = curated.select("trace_id", "prompt_id", "teacher", "score")
    wrong = rows.join(about.select(rows.columns), on=rows.columns, how="anti")
    broken = [f"curated row of trace {t} is not what traces and trace_scores hold" for t in wrong["trace_id"].sort()]
    messages = dict(prompts.select("prompt_id", "prompt").iter_rows())
    expected = {}
    for row in traces.iter_rows(named=True):
        answer = {"role": "assistant", "content": row["response"]}
        keys = {key: row[key] for key in _KEYS} | {"licence": row["licence"] or tables.UNKNOWN_LICENCE}
        expected[row["trace_id"]] = (keys, [*messages.get(row["prompt_id"], []), answer])
    return expected, broken


def _compare(export: Path, expected: Expected) -> list[str]:
    """Rows of an export that are not one chosen trace each, in prompt, text or keys."""
    broken = []
    seen = []
    for number, row in enumerate(_rows(export), start=1):
        trace_id = row["trace_id"]
        seen.append(trace_id)
        if trace_id not in expected:
            broken.append(f"{export} row {number}: trace {trace_id} was not chosen")
            continue
        keys, messages = expected[trace_id]
        wrong = [key for key, value in keys.items() if key in row and row[key] != value]
        wrong += ["prompt or response"] if _messages(row) != messages else []
        if wrong:
            broken.append(f"{export} row {number}: trace {trace_id} has a different {', '.join(wrong)} in the tables")
    if sorted(seen) != sorted(expected):
        missing = sorted(set(expected) - set(seen))
        what = f"lacks trace {missing[0]}" if missing else "holds a trace more than once"
        broken.append(f"{export} {what}: {count(len(seen), 'row')} of {count(len(expected), 'chosen trace')}")
    return broken


def _rows(export: Path) -> Iterator[dict[str, Any]]:
    if export.suffix == ".parquet":
        yield from pl.read_parquet(export).iter_rows(named=True)
        return
    with export.open(encoding="utf-8", newline="\n") as lines:
        yield from map(json.loads, lines)


def _messages(row: dict[str, Any]) -> Messages:
    """The conversation of a row in any of the layouts, with its last turn the response."""
    if "messages" in row or "completion" in row:
        turns = row["messages"] if "messages" in row else [*row["prompt"], *row["completion"]]
        # Without what it may say of its spans: that is no part of the text.
        return [{k: v for k, v in turn.items() if k != DETAIL} for turn in turns]
    turns = [{"role": _ROLES.get(t["from"], t["from"]), "content": t["value"]} for t in row["conversations"]]
    return [{"role": "system", "content": row["system"]}, *turns] if row.get("system") else turns
