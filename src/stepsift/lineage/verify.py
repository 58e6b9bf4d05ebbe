"""`stepsift verify`: every link from the source files to the exports, which of them broke, and which were only taken.

What a `dvc.lock` says can be forged as a whole: who changes a table and runs `dvc commit` has MD5s that agree. Only
computing again finds that, so each link says how far it was computed again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from stepsift import params
from stepsift.core.errors import LineageError, StepsiftError
from stepsift.core.text import named_error_line
from stepsift.lineage import lock as locks
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.exports import check_exports
from stepsift.lineage.lock import Lock
from stepsift.lineage.other_scores import check_other_scores
from stepsift.lineage.outputs import check_outputs
from stepsift.lineage.reevaluate import check_accuracies, check_answers
from stepsift.lineage.rerun import CHEAP, DeclaredStage, check_stage, declared_stages
from stepsift.lineage.rescore import check_scores
from stepsift.lineage.retrain import check_students
from stepsift.lineage.sources import check_sources
from stepsift.lineage.stores import check_caches, check_runs


@dataclass(frozen=True)
class Effort:
    """How much is computed again.

    `fast`: hashes only. `default`: the cheap stages, the scores of `sample` traces drawn by `seed`, and the answers of
    one trained student. `full`: all scores, all students, all answers.
    """

    level: Literal["fast", "default", "full"] = "default"
    sample: int = 8
    seed: int = 0


def check_links(lock_file: Path, settings: params.Params, effort: Effort) -> Iterator[CheckResult]:
    """Yield the links in the order of the pipeline as they are checked; runs in the repository's root folder.

    No command runs but those of this checkout's dvc.yaml. Raises LineageError if the pipeline was not run.
    """
    lock = locks.read(lock_file)
    missing = [s for s in ("ingest", "segment", "score", "select") if s not in lock]
    if missing:
        raise LineageError(f"stages {', '.join(missing)} were not run here; run 'dvc repro'")
    declared = declared_stages()
    if lacking := [s for s in lock.stages if s not in declared]:
        text = f"dvc.lock has stages that dvc.yaml of this checkout does not have: {', '.join(lacking)}"
        yield CheckResult("stages", "", (text,))
    for name, check in _checks(lock, settings, effort, declared):
        try:
            yield from check()
        except (StepsiftError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            # Whatever is cut or forged so that it cannot be read is what this command is for.
            yield CheckResult(name, "", (f"it cannot be checked: {named_error_line(e, 300)}",))


def _checks(
    lock: Lock, settings: params.Params, effort: Effort, declared: Mapping[str, DeclaredStage]
) -> Iterator[tuple[str, Callable[[], Sequence[CheckResult]]]]:
    """Name of a link, or of several, and what checks it."""
    folders = lock.folders()
    full = effort.level == "full"
    if "ingest" in declared:
        sources = Path(declared["ingest"].sources())
        yield "sources", lambda: [check_sources(sources, folders["ingest"] / "sources.json")]
    yield "outputs", lambda: check_outputs(lock)
    if effort.level == "fast":
        stages = ", ".join(s for s in declared if s in lock)
        yield "recomputed", lambda: [CheckResult("recomputed", "", taken=f"what the stages {stages} made")]
    else:
        for stage in (s for s in CHEAP if s in lock):
            yield f"{stage} run again", partial(_one, check_stage, stage, lock, declared)
        sample = None if full else effort.sample
        yield "scores", lambda: [check_scores(folders, settings, sample, effort.seed)]
        yield "other scores", lambda: check_other_scores(folders, settings, full)
        if "train" in lock:
            yield "students", lambda: [check_students(folders, settings, full)]
        if "evaluate" in lock and "evaluate" in declared:
            drawn_by = None if full else effort.seed
            yield "answers", lambda: [check_answers(folders, settings, declared["evaluate"], drawn_by)]
            yield "accuracies", lambda: [check_accuracies(folders, declared["evaluate"])]
    yield "exports", lambda: check_exports(folders)
    yield "caches", lambda: [check_caches()]
    yield "runs", lambda: [check_runs(settings.tracking)]


def _one(check: Callable[..., CheckResult], *arguments: object) -> list[CheckResult]:
    return [check(*arguments)]
