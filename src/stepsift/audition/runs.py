"""The runs of an audition: one student for each arm, seed and budget, trained, evaluated and remembered.

The result of a run is kept in a side cache by everything that decides it, so that an audition which was stopped goes on
where it was, and a plan with one more arm trains one more arm. Runs are independent, so that several processes do them
side by side, each on its own device or its share of the processor.
"""

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import evaluate, params, sidecache, train
from stepsift.audition.arms import HALF, NamedBudget
from stepsift.core import disk, processes, tables
from stepsift.core.errors import AuditionError, StepsiftError
from stepsift.core.pace import leave_to_parent
from stepsift.evaluate import Evaluation
from stepsift.student import StudentSource, take_share
from stepsift.tasks import TaskSource
from stepsift.train import Training

log = logging.getLogger(__name__)

RUN_VERSION = 1
"""Raised whenever the result of a run would be different."""
_ANSWERS, _ABOUT = tables.ANSWERS.file, "run.json"


@dataclass(frozen=True)
class RunSettings:
    """What all runs of an audition share; `cache` is the root of all caches."""

    source: StudentSource
    train: params.Train
    evaluate: params.Evaluate
    tasks: list[TaskSource]
    keep_students: bool
    cache: Path

    def training(self, budget: params.Budget) -> Training:
        """How a student is trained under a budget."""
        settings = self.train.model_copy(update={"budget": budget})
        return Training(self.source, settings, self.cache / "models")

    def evaluation(self, source: StudentSource) -> Evaluation:
        """How a student is evaluated."""
        return Evaluation(source, self.evaluate, self.cache / "evaluations")


@dataclass(frozen=True)
class AuditionRun:
    """A run: `arms` (several where they chose the same traces), seed, budget and its key in the side cache."""

    arms: tuple[str, ...]
    seed: int
    budget: NamedBudget
    key: str

    @property
    def set_name(self) -> str:
        """Name of the set that it is trained on."""
        return self.budget.set_name(self.arms[0])


@dataclass(frozen=True)
class RunResult:
    """The result of a run: answers (columns of tables.ANSWERS but `model`) and its costs, in seconds.

    `train_s` is None where the student was there already. `presented_tokens`: response tokens in the loss.
    """

    answers: pl.DataFrame
    train_s: float | None
    evaluate_s: float
    presented_tokens: int

    @property
    def accuracy(self) -> float:
        """Mean over tasks of the mean over questions."""
        return float(self.answers.group_by("task").agg(pl.col("correct").mean())["correct"].to_numpy().mean())


def list_runs(
    setting: RunSettings, sets: dict[str, train.Examples], seeds: tuple[int, ...], budgets: list[NamedBudget]
) -> list[AuditionRun]:
    """All runs, a seed at a time, so that every arm has one before any has two; the same key stands once."""
    all_arms = [name for name in sets if not name.endswith(HALF)]
    runs = []
    for seed in seeds:
        for budget in budgets:
            alike: dict[str, list[str]] = {}
            for arm in all_arms:
                alike.setdefault(sets[budget.set_name(arm)].digest, []).append(arm)
            for arms in alike.values():
                training, data = setting.training(budget.budget), sets[budget.set_name(arms[0])]
                parts = train.key_parts(setting.source.fingerprint, data, training.settings, seed)
                runs.append(AuditionRun(tuple(arms), seed, budget, _key(setting, parts)))
    return runs


def _key(setting: RunSettings, trained: dict[str, Any]) -> str:
    return sidecache.key(
        kind="audition",
        version=RUN_VERSION,
        train=trained,
        evaluate=evaluate.key_settings(setting.evaluate, setting.source.settings),
        tasks={t.name: t.digest for t in setting.tasks},
    )


def finished(setting: RunSettings, runs: list[AuditionRun]) -> list[AuditionRun]:
    """The runs that are in the side cache already."""
    store = _store(setting)
    return [run for run in runs if store.has(run.key)]


def run_all(
    setting: RunSettings, sets: dict[str, train.Examples], runs: list[AuditionRun], workers: int
) -> Iterator[tuple[AuditionRun, RunResult]]:
    """Do the runs that the side cache does not hold, `workers` at a time, and yield each as it is done.

    Raises AuditionError where a run fails, with its arm and the reason; what is done by then is kept.
    """
    there = set(finished(setting, runs))
    for run in there:
        yield run, read(setting, run)
    todo = [run for run in runs if run not in there]
    if workers == 1:
        for run in todo:
            _attempt(setting, sets[run.set_name], run)
            yield run, read(setting, run)
        return
    pool = processes.start(workers, _begin, workers, setting, sets)
    try:
        futures = {processes.submit(pool, _work, run): run for run in todo}
        for future in as_completed(futures):
            future.result()
            yield futures[future], read(setting, futures[future])
    except BrokenProcessPool as e:
        raise AuditionError(
            "a process that trained a student was ended from outside (out of memory?); with fewer --workers, run it "
            "again: finished runs are kept"
        ) from e
    finally:
        processes.end(pool)


def read(setting: RunSettings, run: AuditionRun) -> RunResult:
    """The result of a finished run."""
    folder = setting.cache / "auditions" / run.key
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    return RunResult(pl.read_parquet(folder / _ANSWERS), **about)


def _store(setting: RunSettings) -> sidecache.SideCache:
    return sidecache.SideCache(setting.cache / "auditions")


def _attempt(setting: RunSettings, data: train.Examples, run: AuditionRun) -> None:
    def make(target: Path) -> None:
        begin = time.monotonic()
        trained = train.train_student(setting.training(run.budget.budget), data, run.seed)
        trained_after = time.monotonic()
        answers = evaluate.answers_of(setting.evaluation(setting.source.at(trained.folder)), setting.tasks)
        about = {
            "train_s": None if trained.reused else trained_after - begin,
            "evaluate_s": time.monotonic() - trained_after,
            "presented_tokens": json.loads((trained.folder / "training.json").read_text())["presented_tokens"],
        }
        answers.write_parquet(target / _ANSWERS)
        (target / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        if not (trained.reused or setting.keep_students):
            disk.remove(trained.folder)

    try:
        _store(setting).get_or_make(run.key, make)
    except StepsiftError as e:
        raise AuditionError(
            f"{run.arms[0]}, seed {run.seed}, {run.budget.name}: {e}; runs that are finished are kept"
        ) from e


_shared: tuple[RunSettings, dict[str, train.Examples]]


def _begin(number: int, workers: int, setting: RunSettings, sets: dict[str, train.Examples]) -> None:
    """A worker process begins."""
    global _shared  # noqa: PLW0603 - an initializer has no other way to leave something to its process
    take_share(number, workers)
    _shared = (setting, sets)
    leave_to_parent()


def _work(run: AuditionRun) -> None:
    setting, sets = _shared
    _attempt(setting, sets[run.set_name], run)
