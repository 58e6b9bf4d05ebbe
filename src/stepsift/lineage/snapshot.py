"""The curated sets of a revision, or of the working folder, with all that can say why they are as they are."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift.core import table_files, tables
from stepsift.core.errors import LineageError, TableError
from stepsift.lineage import lock as locks
from stepsift.lineage import story
from stepsift.lineage.history import CURATED
from stepsift.lineage.lock import Lock
from stepsift.lineage.revision import Revision

HERE = "the working folder"
_REJECTED = tables.REJECTED.file


@dataclass(frozen=True)
class Snapshot:
    """What one revision chose from.

    `traces` is the table without responses, `rejected` has the column `stage` before it and only rows with a trace id,
    `scores` is table trace_scores; `curated` and `selectors` (settings) are by selector, `parameters` those of select.
    """

    name: str
    traces: pl.DataFrame
    rejected: pl.DataFrame
    scores: pl.DataFrame
    curated: dict[str, pl.DataFrame]
    selectors: dict[str, dict[str, Any]]
    parameters: dict[str, Any]


def of_folder(lock_file: Path) -> Snapshot:
    """The working folder as it is; raises LineageError or TableError where the stages were not run."""
    return _load(HERE, locks.read(lock_file).folders())


def of_revision(rev: str) -> Snapshot:
    """A git revision, from DVC's cache or a remote.

    Raises CacheError where the revision or its data cannot be fetched, LineageError where it holds tables of another
    version.
    """
    with Revision(rev) as revision, tempfile.TemporaryDirectory() as scratch:
        lock = Lock(f"revision '{rev}'", revision.stages)
        folders = {stage: Path(scratch) / stage for stage in ("ingest", "score", "select")}
        files = {"ingest": [tables.TRACES.file, _REJECTED], "score": [_REJECTED]}
        files["select"] = [tables.TRACE_SCORES.file, _REJECTED]
        for selector in revision.folders(lock.folder("select")):
            files["select"] += [f"{selector}/{CURATED}", f"{selector}/manifest.json"]
        for stage, names in files.items():
            for name in names:
                target = folders[stage] / name
                target.parent.mkdir(parents=True, exist_ok=True)
                revision.get(f"{lock.folder(stage)}/{name}", target.parent)
        try:
            return _load(rev, folders)
        except TableError as e:
            # Without the place of the copy, and without the advice to run the pipeline here.
            what = str(e).replace(f"{scratch}/", "").partition(";")[0]
            raise LineageError(
                f"revision '{rev}' cannot be compared: {what}; to compare it, run this command "
                "with the version of stepsift that made it"
            ) from e


def _load(name: str, folders: Mapping[str, Path]) -> Snapshot:
    manifests = story.manifests(folders["select"])
    return Snapshot(
        name=name,
        traces=table_files.read_part(tables.TRACES, folders["ingest"] / tables.TRACES.file, tables.TRACE_COLUMNS),
        rejected=table_files.read_rejected(
            {s: f for s, f in folders.items() if s in ("ingest", "segment", "score", "select")},
            pl.col("trace_id").is_not_null(),
        ),
        scores=table_files.read_part(tables.TRACE_SCORES, folders["select"] / tables.TRACE_SCORES.file),
        curated={s: table_files.read(tables.CURATED, folders["select"] / s / CURATED) for s in manifests},
        selectors={s: m["selector"] for s, m in manifests.items()},
        parameters=next(iter(manifests.values()))["parameters"],
    )
