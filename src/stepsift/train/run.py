"""From curated sets to trained students, over selectors and seeds; what was trained before comes from a side cache."""

import itertools
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params, sidecache
from stepsift.core import disk, table_files, tables
from stepsift.core.errors import TrainingError
from stepsift.core.pace import ProgressBar, leave_to_parent
from stepsift.core.processes import Crew
from stepsift.student import StudentSource, pick_device
from stepsift.train.examples import Examples, hold_out_places, load_examples
from stepsift.train.launch import Job, configuration, launch_training, may_use_own_head
from stepsift.train.order import presentation
from stepsift.train.side_by_side import choose_workers

log = logging.getLogger(__name__)

TRAIN_VERSION = 4
"""Raised whenever a change could move a trained weight by as much as its last bit."""
HEAD_VERSION = 1
"""The same, of students that `head.py` may train."""

KEYS = "keys.json"
CURVE_POINTS = 100
CURVE_DIGITS = 6

OnLog = Callable[[str, int, int, dict[str, float]], None]
"""Called with selector, seed, update (from 1) and `loss` (nats per token), `learning_rate`, `grad_norm`."""


@dataclass(frozen=True)
class TrainResult:
    """A trained student: its folder, the counts behind it, and the rows of its set that were left out.

    `examples` and `held_out_examples` make up the set. `response_tokens` counts the tokens of `examples` that are in
    the loss, end tokens included; `presented_examples` and `presented_tokens` count repeats, `distinct_examples` were
    shown at least once. `final_loss` is the mean loss in nats per token over the updates of the last pass.
    `kept_update` is the update whose weights were kept: the last one, but with `train.early_stop` that of the lowest
    `held_out_loss` (nats per token, None without).
    """

    folder: Path
    examples: int
    held_out_examples: int
    prompt_tokens: int
    response_tokens: int
    presented_examples: int
    presented_tokens: int
    distinct_examples: int
    updates: int
    kept_update: int
    final_loss: float
    held_out_loss: float | None
    rejected: pl.DataFrame

    def metrics(self) -> dict[str, float]:
        """The numbers, for a metrics file."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("folder", "rejected")}
        return {n: v for n, v in numbers.items() if v is not None} | {"rejected": self.rejected.height}


@dataclass(frozen=True)
class TrainedStudent:
    """A student in the side cache: its folder, for reading only, the parts of its key, and whether it was there."""

    folder: Path
    parts: dict[str, Any]
    reused: bool


@dataclass(frozen=True)
class Trained:
    """What `train_all` made: results by selector and seed, all rows left out, and how much the side cache saved."""

    results: dict[tuple[str, int], TrainResult]
    rejected: pl.DataFrame
    trained: int
    reused: int

    def metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """selector -> seed-<seed> -> numbers; the same whether a student was trained now or came from the cache."""
        nested: dict[str, dict[str, dict[str, float]]] = {}
        for (selector, seed), result in self.results.items():
            nested.setdefault(selector, {})[f"seed-{seed}"] = result.metrics()
        return nested

    def curves(self) -> list[dict[str, Any]]:
        """Points of all curves for a chart: `student`, `update` and `loss`, the mean over the updates since the last
        point; at most CURVE_POINTS a student."""
        points = []
        for (selector, seed), result in self.results.items():
            lines = (result.folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()
            losses = [json.loads(line)["loss"] for line in lines]
            size = math.ceil(len(losses) / CURVE_POINTS)
            for start in range(0, len(losses), size):
                part = losses[start : start + size]
                mean = round(sum(part) / len(part), CURVE_DIGITS)
                points.append({"student": f"{selector}/seed-{seed}", "update": start + len(part), "loss": mean})
        return points


@dataclass(frozen=True)
class Training:
    """What trainings share: the untrained student, the settings, and the folder of the side cache."""

    source: StudentSource
    settings: params.Train
    cache: Path


def train_all(
    training: Training, selections: Path, selectors: Sequence[str], out: Path, on_log: OnLog | None = None
) -> Trained:
    """Train one student for each selector (`selections/<selector>/train.jsonl`) and seed.

    `out` is rewritten whole: `<selector>/seed-<seed>/`, `rejected.parquet`, and `keys.json`, the parts of a student's
    key in the side cache, from which `stepsift cache warm` fills the cache of another machine. A student that was
    trained before on the same ids with the same settings, seed and versions comes from the side cache, and `on_log`
    gets the curve of the time when it was trained. The same seed gives the same weights on one machine. A student's
    folder also gets `training.json` (counts, final loss) and `curve.jsonl` (one line per update).

    Raises TrainingError if a set is missing or leaves no example, or if a loss becomes NaN.
    """
    renderer = training.source.load_renderer()
    most = most_tokens(training.source, training.settings)
    # Every set is read before the first student is trained, so that a broken one fails in seconds.
    sets = {s: load_examples(_train_file(selections, s), renderer, most, f"{s}/train.jsonl") for s in selectors}
    rejected = pl.concat([data.rejected for data in sets.values()])
    seeds = training.settings.seeds
    n_reused = 0
    keys: dict[str, dict[str, Any]] = {}
    planned = {(s, seed): _n_updates(data, training.settings, seed) for s, data in sets.items() for seed in seeds}
    with disk.fresh_folder(out) as folder, _Curves(planned, on_log) as curves:
        for (selector, seed), one in _students(training, sets, planned, curves):
            name = f"{selector}/seed-{seed}"
            keys[name] = one.parts
            n_reused += one.reused
            log.info("train %s, seed %d: %s", selector, seed, "from the cache" if one.reused else "done")
            sidecache.copy(one.folder, folder / name)
        disk.write_json(sidecache.plain(keys), folder / KEYS)
        table_files.write(tables.REJECTED, rejected, folder / tables.REJECTED.file)
    results = {(s, seed): _result(out / s / f"seed-{seed}", sets[s]) for s in sets for seed in seeds}
    return Trained(results, rejected, len(results) - n_reused, n_reused)


def _students(
    training: Training, sets: dict[str, Examples], planned: dict[tuple[str, int], int], curves: "_Curves"
) -> Iterator[tuple[tuple[str, int], TrainedStudent]]:
    """The trained students in the order of `planned`, each with its curve told; some at once, see side_by_side.py."""
    store, settings = sidecache.SideCache(training.cache), training.settings
    todo: dict[str, tuple[str, int]] = {}  # two selectors that chose the same traces share a student
    tokens = []
    for (selector, seed), n_updates in planned.items():
        data = sets[selector]
        key = sidecache.key(**key_parts(training.source.fingerprint, data, settings, seed))
        if key not in todo and not store.has(key):
            todo[key] = selector, seed
            tokens.append(round(n_updates * settings.batch_size * data.mean_tokens))
    workers = choose_workers(training.source, settings, tokens)
    beside = list(todo.values()) if workers > 1 else []
    if beside:
        log.info("train: %d students at once", workers)
    with Crew(workers, (training, sets)) as crew:
        ahead = crew.map(_train_in_worker, beside)
        for selector, seed in planned:
            is_new = (selector, seed) in beside
            if is_new:
                try:
                    next(ahead)
                except BrokenProcessPool:
                    raise TrainingError(
                        "a process that trained a student was ended from outside (out of memory?); run it again: "
                        "finished students are kept"
                    ) from None
            # One that was made in a process comes from the cache here, with its curve.
            one = train_student(training, sets[selector], seed, partial(curves.show, selector, seed))
            yield (selector, seed), replace(one, reused=one.reused and not is_new)


def _train_in_worker(shared: tuple[Training, dict[str, Examples]], planned: tuple[str, int]) -> None:
    training, sets = shared
    leave_to_parent()
    selector, seed = planned
    train_student(training, sets[selector], seed)


def _n_updates(data: Examples, settings: params.Train, seed: int) -> int:
    """Updates of a training that does not stop early."""
    if settings.early_stop:
        data = data.part(hold_out_places(data, settings.early_stop.share)[0])
    shown = presentation(data.lengths, settings, seed, data.rotation)
    return math.ceil(len(shown) / settings.batch_size)


class _Curves(ProgressBar):
    """Shows how far all trainings are, and hands on what they log; `planned` has the updates of each."""

    def __init__(self, planned: dict[tuple[str, int], int], on_log: OnLog | None):
        super().__init__(sum(planned.values()))
        self._planned, self._on_log = planned, on_log
        self._before = dict(zip(planned, itertools.accumulate(planned.values(), initial=0), strict=False))

    def show(self, selector: str, seed: int, update: int, values: dict[str, float]) -> None:
        """An update of one training was made."""
        student = (selector, seed)
        of = f"update {update} of {self._planned[student]}, loss {values['loss']:.3f}"
        self.update(self._before[student] + update, f"train {selector}, seed {seed}: {of}")
        if self._on_log is not None:
            self._on_log(selector, seed, update, values)


def train_student(
    training: Training, data: Examples, seed: int, on_log: Callable[[int, dict[str, float]], None] | None = None
) -> TrainedStudent:
    """Train one student, or find it in the side cache; `on_log` gets its curve either way.

    Raises TrainingError if a loss becomes NaN.
    """
    settings = training.settings
    parts = key_parts(training.source.fingerprint, data, settings, seed)
    store, key = sidecache.SideCache(training.cache), sidecache.key(**parts)

    def make(target: Path, checkpoints: Path | None = None) -> None:
        _train(Job(training.source, settings, data, seed, target, checkpoints), on_log)

    if settings.checkpoint_every is None or store.has(key):
        entry, reused = store.get_or_make(key, make)
    else:
        with store.partial(key) as checkpoints:
            entry, reused = store.get_or_make(key, partial(make, checkpoints=checkpoints))
    if reused and on_log:
        _replay(entry, on_log)
    return TrainedStudent(entry, parts, reused)


def _train(job: Job, on_log: Callable[[int, dict[str, float]], None] | None) -> None:
    """In this process, or in those that `accelerate launch` starts."""
    if job.settings.launch is not None:
        launch_training(job, job.settings.launch, on_log)
        return
    from stepsift.train.fit import fit_student

    fit_student(job, on_log)


def key_parts(origin: str, data: Examples, settings: params.Train, seed: int) -> dict[str, Any]:
    """Everything that decides a trained student; `origin` is the fingerprint of the untrained one."""
    # `max_tokens` decides which examples there are, and their ids are in the key; a budget makes epochs idle; a
    # checkpoint moves no weight; what counts of a launch is what its file says; labels are what `steps` made them.
    idle = {"seeds", "max_tokens", "checkpoint_every", "launch", "steps"} | ({"epochs"} if settings.budget else set())
    packages = ["accelerate", "torch", "transformers", "trl"] + (["peft"] if settings.lora else [])
    return {
        "kind": "train",
        "version": TRAIN_VERSION,
        "student": origin,
        "ids": data.digest,
        "settings": settings.model_dump(exclude=idle),
        "seed": seed,
        "device": pick_device("auto"),
        # What `head.py` computes has other last digits; without it keys are as they were.
        **({"head": HEAD_VERSION} if may_use_own_head(settings) else {}),
        "launch": None if settings.launch is None else configuration(settings.launch),
        "versions": {p: version(p) for p in packages},
    }


def most_tokens(source: StudentSource, settings: params.Train) -> int:
    """Tokens of the longest example that can be trained on."""
    context = source.context_tokens()
    return min(context, settings.max_tokens or context)


def _train_file(selections: Path, selector: str) -> Path:
    path = selections / selector / "train.jsonl"
    if not path.is_file():
        raise TrainingError(f"there is no {path} for selector '{selector}'; run 'dvc repro select' to write it")
    return path


def _result(folder: Path, data: Examples) -> TrainResult:
    summary = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return TrainResult(folder=folder, rejected=data.rejected, **summary)


def _replay(entry: Path, report: Callable[[int, dict[str, float]], None]) -> None:
    for line in (entry / "curve.jsonl").read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        report(values.pop("step"), values)
