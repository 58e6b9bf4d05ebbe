"""What a curated set is made of: inputs, parameters, student, code, counts, fits, files and its fingerprint."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import polars as pl

import stepsift
from stepsift import params
from stepsift.core import disk
from stepsift.select.compared import ComparedTeachers, compared_teachers

if TYPE_CHECKING:
    from stepsift.select.run import Selection

CODE = ("core", "metrics", "params", "select")
"""What select runs of this package."""


@dataclass(frozen=True)
class Inputs:
    """What the stages before select say of themselves.

    `sources`: source file to md5, rows and licences, as ingest wrote it; `tables`: name of a table to its md5;
    `student`: path, fingerprint and numerics of the scores; `reference`: name, path, fingerprint, numerics and table of
    the model that metrics of two models compare the student with.
    """

    sources: dict[str, Any]
    tables: dict[str, str]
    student: dict[str, Any]
    reference: dict[str, Any] | None = None


class SelectionCounts(TypedDict):
    """Counts are a tree: traces = scored + not scored; scored = filtered by reason + not_correct + candidates; chosen
    traces are of `prompts`. `dropped` are by reason the candidates that this selector could not or would not choose."""

    traces: int
    scored: int
    filtered: dict[str, int]
    not_correct: int
    candidates: int
    dropped: dict[str, int]
    prompts: int
    chosen: int


class FileEntry(TypedDict):
    """One file of a curated set; `rows` is null where its rows are no examples."""

    md5: str
    bytes: int
    rows: int | None


class InputEntries(TypedDict):
    """`sources` and `tables` of `Inputs`."""

    sources: dict[str, Any]
    tables: dict[str, str]


class Manifest(TypedDict):
    """`manifest.json` of one curated set, key by key."""

    selector: dict[str, Any]
    """The selector's section of params.yaml, with all defaults."""
    parameters: dict[str, Any]
    """All of section `select`."""
    train_steps: NotRequired[dict[str, Any]]
    """`train.steps`, where it masks steps."""
    student: dict[str, Any]
    reference: dict[str, Any] | None
    """The model that metrics of two models compare the student with; None without one."""
    inputs: InputEntries
    code: str
    """See `code_hash`."""
    counts: SelectionCounts
    fits: dict[str, dict[str, Any]]
    """Fitted metric to its coefficients."""
    ranking: ComparedTeachers | None
    """The teachers by the selector's metric; None where it ranks none."""
    files: dict[str, FileEntry]
    fingerprint: str
    """See `fingerprint`."""


def describe(
    selector: params.Selector,
    settings: params.Select,
    inputs: Inputs,
    selection: "Selection",
    files: dict[str, FileEntry],
) -> Manifest:
    """The manifest of the set that this selector chose, ready for JSON; `files` is what was exported of it."""
    metrics, curated = selection.metrics, selection.curated[selector.name]
    rejected = {reason: sum(n.values()) for reason, n in metrics["rejected"].items()}
    return Manifest(
        selector=selector.model_dump(mode="json"),
        parameters=settings.model_dump(mode="json"),
        student=inputs.student,
        reference=inputs.reference,
        inputs=InputEntries(sources=inputs.sources, tables=inputs.tables),
        code=code_hash(),
        counts=SelectionCounts(
            traces=metrics["n_traces"],
            scored=metrics["n_scored"],
            filtered={r: n for r, n in sorted(rejected.items()) if r not in NOT_FILTERS},
            not_correct=rejected.get("not_correct", 0),
            candidates=metrics["n_candidates"],
            dropped=_dropped(selection.rejected, selector),
            prompts=curated["prompt_id"].n_unique(),
            chosen=curated.height,
        ),
        fits=selection.fits.coefficients,
        ranking=compared_teachers(selection.teachers, selector.metric),
        files=files,
        fingerprint=fingerprint(curated["trace_id"].sort()),
    )


def _dropped(rejected: pl.DataFrame, selector: params.Selector) -> dict[str, int]:
    """Reasons of this selector alone to rows."""
    own = rejected.filter(pl.col("detail").str.starts_with(f"selector {selector.name}: "))
    return dict(own.group_by("reason").len().sort("reason").rows())


OF_ONE_SELECTOR = frozenset({"no_score", "low_margin", "low_stability"})
"""Reasons of select's rejected rows that hold for one selector; to another the trace is a candidate."""
NOT_FILTERS = OF_ONE_SELECTOR | {"not_scored", "not_correct"}
"""Reasons of select's rejected rows that no filter gave."""


def read_manifests(select: Path) -> dict[str, Manifest]:
    """Selector to its manifest, in the order of the parameters, from the folder of stage select; raises TableError
    where one is no valid JSON."""
    by_name: dict[str, Manifest] = {p.parent.name: disk.read_json(p) for p in sorted(select.glob("*/manifest.json"))}
    order = [s["name"] for s in next(iter(by_name.values()))["parameters"]["selectors"]] if by_name else []
    return {name: by_name[name] for name in order if name in by_name}


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
