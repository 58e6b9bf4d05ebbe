"""`stepsift verify`: every link from the source files to the exports, and which of them broke."""

from collections.abc import Iterator
from pathlib import Path

from stepsift import params
from stepsift.core.errors import LineageError
from stepsift.lineage import lock as locks
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.exports import check_exports
from stepsift.lineage.outputs import check_outputs
from stepsift.lineage.rerun import CHEAP, check_stage
from stepsift.lineage.rescore import check_scores
from stepsift.lineage.sources import check_sources


def check_links(lock_file: Path, settings: params.Params, sample: int, seed: int, fast: bool) -> Iterator[CheckResult]:
    """Yield the links in the order of the pipeline as they are checked; runs in the repository's root folder.

    `sample` traces, drawn by `seed`, are scored anew. `fast` leaves out what runs a stage or the student. Raises
    LineageError where the pipeline was not run.
    """
    lock = locks.read(lock_file)
    missing = [s for s in ("ingest", "segment", "score", "select") if s not in lock]
    if missing:
        raise LineageError(f"stages {', '.join(missing)} were not run here; run 'dvc repro'")
    folders = lock.folders()
    yield check_sources(Path(lock.sources()), folders["ingest"] / "sources.json")
    yield from check_outputs(lock)
    if not fast:
        yield from (check_stage(stage, lock) for stage in CHEAP)
        yield check_scores(folders, settings, sample, seed)
    yield from check_exports(folders)
