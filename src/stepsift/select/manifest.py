"""What a curated set is made of: inputs, parameters, student, code, counts, fits, files and its fingerprint."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import stepsift
from stepsift import params
from stepsift.core import disk

CODE = ("core", "metrics", "params", "select")
"""What select runs of this package."""


@dataclass(frozen=True)
class Inputs:
    """What the stages before select say of themselves.

    `sources`: source file to md5, rows and licences, as ingest wrote it; `tables`: name of a table to its md5;
    `student`: path, fingerprint and numerics of the scores.
    """

    sources: dict[str, Any]
    tables: dict[str, str]
    student: dict[str, Any]


def manifest(
    selector: params.Selector,
    settings: params.Select,
    inputs: Inputs,
    metrics: dict[str, Any],
    dropped: dict[str, int],
    fits: dict[str, Any],
    curated: pl.DataFrame,
    files: dict[str, Any],
) -> dict[str, Any]:
    """The manifest of one curated set, ready for JSON.

    `metrics` are those of `Selection`, `dropped` counts by reason the candidates that this selector could not or would
    not choose, `files` is what was exported: name to md5, bytes and rows. Counts are a tree: traces = scored + not
    scored; scored = filtered by reason + not_correct + candidates; chosen traces are of `prompts`.
    """
    rejected = {reason: sum(n.values()) for reason, n in metrics["rejected"].items()}
    chosen = curated["trace_id"].sort()
    return {
        "selector": selector.model_dump(mode="json"),
        "parameters": settings.model_dump(mode="json"),
        "student": inputs.student,
        "inputs": {"sources": inputs.sources, "tables": inputs.tables},
        "code": code_hash(),
        "counts": {
            "traces": metrics["n_traces"],
            "scored": metrics["n_scored"],
            "filtered": {r: n for r, n in sorted(rejected.items()) if r not in NOT_FILTERS},
            "not_correct": rejected.get("not_correct", 0),
            "candidates": metrics["n_candidates"],
            "dropped": dropped,
            "prompts": curated["prompt_id"].n_unique(),
            "chosen": curated.height,
        },
        "fits": fits,
        "files": files,
        "fingerprint": fingerprint(chosen),
    }


OF_ONE_SELECTOR = frozenset({"no_score", "low_margin", "low_stability"})
"""Reasons of select's rejected rows that hold for one selector; to another the trace is a candidate."""
NOT_FILTERS = OF_ONE_SELECTOR | {"not_scored", "not_correct"}
"""Reasons of select's rejected rows that no filter gave."""


def manifests(select: Path) -> dict[str, dict[str, Any]]:
    """Selector to its manifest, in the order of the parameters, from the folder of stage select; raises TableError
    where one is no valid JSON."""
    found = {p.parent.name: disk.read_json(p) for p in sorted(select.glob("*/manifest.json"))}
    order = [s["name"] for s in next(iter(found.values()))["parameters"]["selectors"]] if found else []
    return {name: found[name] for name in order if name in found}


def fingerprint(trace_ids: Iterable[str]) -> str:
    """SHA-256 over sorted trace ids, one a line: equal for equal selections; 64 hexadecimal digits."""
    return hashlib.sha256("".join(f"{i}\n" for i in sorted(trace_ids)).encode()).hexdigest()


def code_hash() -> str:
    """SHA-256 over names and contents of the Python files behind a selection; 64 hexadecimal digits."""
    root = Path(stepsift.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(
        f for name in CODE for f in ([root / name] if name.endswith(".py") else root.glob(f"{name}/**/*.py"))
    ):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
