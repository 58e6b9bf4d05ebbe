"""From curated sets to trained students, over selectors and seeds; what was trained before comes from a side cache."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params, sidecache, tables
from stepsift.errors import TrainingError
from stepsift.student import StudentFiles, context_tokens, fingerprint, load_config, load_renderer, pick_device
from stepsift.train.examples import Examples, load_examples

log = logging.getLogger(__name__)

TRAIN_VERSION = 2
"""Raised whenever a change could move a trained weight by as much as its last bit."""

KEYS = "keys.json"

OnLog = Callable[[str, int, int, dict[str, float]], None]
"""Called with selector, seed, update (from 1) and `loss` (nats a token), `learning_rate`, `grad_norm`."""


@dataclass(frozen=True)
class TrainResult:
    """A trained student: its folder, the counts behind it, and the rows of its set that were left out.

    `response_tokens` counts the tokens in the loss of one epoch, end tokens included; `final_loss` is the mean loss in
    nats a token over the updates of the last epoch.
    """

    folder: Path
    examples: int
    prompt_tokens: int
    response_tokens: int
    updates: int
    final_loss: float
    rejected: pl.DataFrame

    def metrics(self) -> dict[str, float]:
        """The numbers, for a metrics file."""
        names = ("examples", "prompt_tokens", "response_tokens", "updates", "final_loss")
        return {name: getattr(self, name) for name in names} | {"rejected": self.rejected.height}


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


def train_all(
    files: StudentFiles,
    settings: params.Train,
    student: params.Student,
    selections: Path,
    selectors: tuple[str, ...],
    out: Path,
    cache: Path,
    on_log: OnLog | None = None,
) -> Trained:
    """Train one student for each selector (`selections/<selector>/train.jsonl`) and seed.

    `out` is rewritten whole: `<selector>/seed-<seed>/`, `rejected.parquet`, and `keys.json`, the parts of a student's
    key in the side cache, from which `stepsift cache warm` fills the cache of another machine. A student that was
    trained before on the same ids with the same settings, seed and versions comes from the side cache in `cache`, and
    `on_log` gets the curve of the time when it was trained. The same seed gives the same weights on one machine. A
    student's folder also gets `training.json` (counts, final loss) and `curve.jsonl` (a line an update).

    Raises TrainingError if a set is missing or leaves no example, or if a loss becomes no number.
    """
    renderer = load_renderer(files, student)
    most_tokens = _most_tokens(files, settings, student)
    # Every set is read before the first student is trained, so that a broken one fails in seconds.
    sets = {s: load_examples(_train_file(selections, s), renderer, most_tokens, f"{s}/train.jsonl") for s in selectors}
    rejected = pl.concat([data.rejected for data in sets.values()])
    store, origin = sidecache.SideCache(cache), fingerprint(files)
    n_reused = 0
    keys: dict[str, dict[str, Any]] = {}
    with tables.fresh_folder(out) as folder:
        for selector, data in sets.items():
            for seed in settings.seeds:
                report = partial(on_log, selector, seed) if on_log else None
                make = partial(_make, files, settings, renderer, data, seed, report)
                name = f"{selector}/seed-{seed}"
                keys[name] = _key_parts(origin, data, settings, seed)
                entry, reused = store.get_or_make(sidecache.key(**keys[name]), make)
                if reused and report:
                    _replay(entry, report)
                n_reused += reused
                log.info("train %s, seed %d: %s", selector, seed, "from the cache" if reused else "done")
                sidecache.copy(entry, folder / name)
        tables.write_json(sidecache.plain(keys), folder / KEYS)
        tables.write(tables.REJECTED, rejected, folder / "rejected.parquet")
    results = {(s, seed): _result(out / s / f"seed-{seed}", sets[s]) for s in sets for seed in settings.seeds}
    return Trained(results, rejected, len(results) - n_reused, n_reused)


def _make(
    files: StudentFiles, settings: params.Train, renderer: Any, data: Examples, seed: int, report: Any, target: Path
) -> None:
    from stepsift.train.fit import fit

    fit(files, settings, renderer, data, seed, target, report)


def _key_parts(origin: str, data: Examples, settings: params.Train, seed: int) -> dict[str, Any]:
    return {
        "kind": "train",
        "version": TRAIN_VERSION,
        "student": origin,
        "ids": data.digest(),
        # `max_tokens` decides which examples there are, and their ids are in the key.
        "settings": settings.model_dump(exclude={"seeds", "max_tokens"}),
        "seed": seed,
        "device": pick_device("auto"),
        "versions": {p: version(p) for p in ("accelerate", "torch", "transformers", "trl")},
    }


def _most_tokens(files: StudentFiles, settings: params.Train, student: params.Student) -> int:
    context = context_tokens(load_config(files), student)
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
