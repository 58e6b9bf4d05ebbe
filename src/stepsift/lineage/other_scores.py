"""Do the tables of scores beside step_scores come out again: of references, of variants, and after training?"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import StepsiftError
from stepsift.core.text import count
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.rescore import TOLERANCE_NATS, is_exact, same_values
from stepsift.score.pool import Pool, PoolTables, Prompts

NAME = "other scores"
_BESIDE = "{}_new"
"""Name of a column of the table that was made again, beside the one that is there."""


@dataclass(frozen=True)
class _Again:
    """A table that was made again: where the one lies that it is compared with, and what makes each column the same.

    `same` maps a column to an expression over it and its `_new` twin; `tolerance` is in nats per token, 0: none.
    """

    path: Path
    table: tables.Table
    frame: pl.DataFrame
    same: dict[str, pl.Expr]
    tolerance: float


@dataclass(frozen=True)
class _Places:
    folders: Mapping[str, Path]
    pool: PoolTables
    scratch: Path

    def scored(self, name: str) -> Path:
        return self.folders["score"] / name


def check_other_scores(folders: Mapping[str, Path], settings: params.Params, full: bool) -> list[CheckResult]:
    """Make the other tables of scores again, with an empty cache, and compare; without `full` they are named alone.

    One result, or none where no such table is there. Log-probabilities and entropies may lie TOLERANCE_NATS apart,
    unless model and numerics of a reference or variant are those of the table and a batch holds one trace: then nothing
    may. `folders` maps a stage to its output. Raises TableError where a table cannot be read.
    """
    there = _tables_there(folders)
    if not full:
        names = ", ".join(str(path) for path in there)
        return [CheckResult(NAME, "", taken=f"{names} (--full makes them again)")] if there else []
    pool = PoolTables(
        folders["ingest"] / tables.PROMPTS.file,
        folders["ingest"] / tables.TRACES.file,
        folders["segment"] / tables.STEPS.file,
    )
    broken: list[str] = []
    made: dict[Path, float] = {}
    for family, make in _FAMILIES.items():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                for again in make(settings, _Places(folders, pool, Path(scratch))):
                    made[again.path] = again.tolerance
                    broken += _differences(again)
            except StepsiftError as e:
                broken.append(f"{family} cannot be made again: {e}")
    if not broken:
        broken = [f"{path} is there, and these settings make none" for path in there if path not in made]
    if not made and not broken:
        return []
    how = f"tolerance {max(made.values(), default=0.0):g} nats per token"
    return [CheckResult(NAME, f"{count(len(made), 'table')} made again: the same scores, {how}", tuple(broken))]


def _tables_there(folders: Mapping[str, Path]) -> list[Path]:
    """The tables of scores beside step_scores; that of what was learned is one if it has rows."""
    scored = folders["score"]
    there = [*scored.glob(f"references/*/{tables.STEP_SCORES.file}"), *scored.glob("perturbed/*.parquet")]
    if "evaluate" in folders and (learned := folders["evaluate"] / tables.LEARNED.file).is_file():
        there += [learned] if table_files.read(tables.LEARNED, learned).height else []
    return sorted(there)


def _references(settings: params.Params, places: _Places) -> Iterator[_Again]:
    from stepsift.score.plan import sample_prompts
    from stepsift.score.references import LIST, score_references

    if not settings.score.references:
        return
    ids = [i for f in table_files.scan(tables.PROMPTS, places.pool.prompts, ["prompt_id"]) for i in f["prompt_id"]]
    prompts = Prompts(places.pool.prompts, sample_prompts(ids, settings.score.prompts, settings.score.seed))
    assert places.pool.steps is not None
    out = places.scratch / "references"
    pool = Pool(prompts, places.pool.traces, places.pool.steps)
    score_references(settings.score, pool, out, places.scratch / "cache", None)
    recorded = _by_name(places.scored("references") / LIST)
    for name, current in _by_name(out / LIST).items():
        exact = is_exact(current, recorded.get(name, {}))
        yield _step_scores(places.scored("references") / name / tables.STEP_SCORES.file, out / name, exact)


def _by_name(path: Path) -> dict[str, dict[str, Any]]:
    """Name of a reference to what is recorded of it; nothing where nothing is."""
    return {about["name"]: about for about in json.loads(path.read_bytes())} if path.is_file() else {}


def _variants(settings: params.Params, places: _Places) -> Iterator[_Again]:
    from stepsift.score.identity import identify
    from stepsift.score.perturb import score_variants

    if settings.select.stability != "full":
        return
    out = places.scratch / "perturbed"
    score_variants(settings, places.pool, out, places.scratch / "cache", None)
    # A variant differs from the scores in its windows or steps, and has their numerics.
    recorded = json.loads(places.scored("numerics.json").read_bytes())
    exact = is_exact(identify(settings.student, settings.score).as_json(), recorded)
    for path in sorted(out.glob("*.parquet")):
        yield _step_scores(places.scored("perturbed") / path.name, path, exact)


def _step_scores(there: Path, made: Path, exact: bool) -> _Again:
    """A table step_scores that was made again: a file, or that in a folder."""
    frame = table_files.read(tables.STEP_SCORES, made / tables.STEP_SCORES.file if made.is_dir() else made)
    tolerance = None if exact else TOLERANCE_NATS
    return _Again(there, tables.STEP_SCORES, frame, same_values(tolerance), tolerance or 0.0)


def _learned(settings: params.Params, places: _Places) -> Iterator[_Again]:
    from stepsift.evaluate.learned import LearnedPlaces, learned_steps

    folders = places.folders
    if "evaluate" not in folders or not settings.evaluate.rescore:
        return
    at = LearnedPlaces(folders["train"], folders["select"], folders["score"], places.pool, places.scratch / "cache")
    frame = learned_steps(settings, at)
    # What is recorded of the machine is that of the stage score, and this table may be made on another one.
    same = {c: pl.col(c).eq_missing(pl.col(_BESIDE.format(c))) for c in frame.columns if c not in tables.LEARNED.key}
    for c in (f"{p}_after" for p in tables.PASSES):
        apart = (pl.col(c) - pl.col(_BESIDE.format(c))).abs() <= TOLERANCE_NATS
        same[c] = apart.fill_null(False) | (pl.col(c).is_null() & pl.col(_BESIDE.format(c)).is_null())
    yield _Again(folders["evaluate"] / tables.LEARNED.file, tables.LEARNED, frame, same, TOLERANCE_NATS)


_FAMILIES: dict[str, Callable[[params.Params, _Places], Iterator[_Again]]] = {
    "scores under references": _references,
    "scores of variants": _variants,
    "scores after training": _learned,
}


def _differences(again: _Again) -> list[str]:
    """A sentence for each trace of a table that has a value which does not come out again: the first such value."""
    if not again.path.is_file():
        return [f"{again.path} is missing"]
    key = list(again.table.key)
    old = table_files.read(again.table, again.path)
    both = old.join(again.frame, on=key, how="full", coalesce=True, suffix=_BESIDE.format(""))
    verdicts = both.select(*key, *(same.alias(c) for c, same in again.same.items())).rows(named=True)
    sentences: dict[tuple[Any, ...], str] = {}
    for row, verdict in zip(both.rows(named=True), verdicts, strict=True):
        trace = tuple(row[k] for k in key if k != "step")
        if trace in sentences or all(verdict[c] for c in again.same):
            continue
        column = next(c for c in again.same if not verdict[c])
        of = f" of selector {row['selector']}" if "selector" in key else ""
        value, new = row[column], row[_BESIDE.format(column)]
        at = f"{again.path}: trace {row['trace_id']}{of}, step {row['step']}"
        sentences[trace] = f"{at}: {column} is {value}, made again it is {new} (tolerance {again.tolerance:g})"
    return [sentences[trace] for trace in sorted(sentences)]
