"""Which steps a student learned: its curated traces scored again after training, beside what it said of them before.

The same steps under two students: they meet by trace and step, never in one column. Values come from the cache of
scores, so that a student that was scored before costs nothing.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import EvaluationError
from stepsift.score.pool import Pool, PoolTables, Prompts


@dataclass(frozen=True)
class LearnedPlaces:
    """Folders of the stages select, train and score, the tables of the pool, and the root of all caches."""

    models: Path
    selections: Path
    scored: Path
    pool: PoolTables
    cache: Path


def learned_steps(settings: params.Params, places: LearnedPlaces) -> pl.DataFrame:
    """Table learned: the steps of the curated traces of each selector of `evaluate.rescore`, before and after training.

    Of a selector's students the one with the lowest seed is taken. Empty where `evaluate.rescore` is. Raises
    EvaluationError where there is no such student, StudentError and ScoringError as scoring does.
    """
    parts = [pl.DataFrame(schema=tables.LEARNED.schema)]
    for selector in settings.evaluate.rescore:
        folder = _first_seed(places.models / selector)
        trained = settings.student.model_copy(update={"path": str(folder)})
        curated = table_files.read(tables.CURATED, places.selections / selector / tables.CURATED.file)
        of_set = pl.col("trace_id").is_in(curated["trace_id"].implode())
        with tempfile.TemporaryDirectory() as scratch:
            after = _scored(trained, settings.score, _part(places.pool, of_set, Path(scratch)), places.cache)
        before = table_files.read_part(tables.STEP_SCORES, places.scored / tables.STEP_SCORES.file, where=of_set)
        parts.append(compared(before, after, selector))
    return pl.concat(parts).sort(tables.LEARNED.key)


def compared(before: pl.DataFrame, after: pl.DataFrame, selector: str) -> pl.DataFrame:
    """Rows of table learned from two tables step_scores of the same steps; steps without tokens are left out.

    `place` is the middle of a step, as a share of its trace's tokens.
    """
    n = pl.col("n_tokens")
    middle = (n.cum_sum().over("trace_id") - n / 2) / n.sum().over("trace_id")
    means = [(pl.col(f"{p}_logprob") / n).alias(f"{p}_logprob") for p in tables.PASSES]
    key = list(tables.STEP_SCORES.key)
    placed = before.sort(key).with_columns(middle.alias("place"))
    one, other = (frame.filter(n > 0).with_columns(means) for frame in (placed, after))
    both = one.join(other.select(*key, *(f"{p}_logprob" for p in tables.PASSES)), on=key, suffix="_after")
    names = {f"{p}_logprob": f"{p}_before" for p in tables.PASSES}
    names |= {f"{p}_logprob_after": f"{p}_after" for p in tables.PASSES}
    return both.rename(names).with_columns(selector=pl.lit(selector)).select(tables.LEARNED.schema.keys())


def _first_seed(models: Path) -> Path:
    seeds = sorted((int(p.name.removeprefix("seed-")), p) for p in models.glob("seed-*"))
    if not seeds:
        raise EvaluationError(
            f"evaluate.rescore names '{models.name}', of which {models} holds no trained student; run 'dvc repro train'"
        )
    return seeds[0][1]


def _part(pool: PoolTables, of_set: pl.Expr, out: Path) -> Pool:
    """The pool of these traces alone, in tables below `out`."""
    assert pool.steps is not None
    traces = table_files.read_part(tables.TRACES, pool.traces, where=of_set)
    paths = out / tables.TRACES.file, out / tables.STEPS.file
    table_files.write(tables.TRACES, traces, paths[0])
    table_files.write(tables.STEPS, table_files.read_part(tables.STEPS, pool.steps, where=of_set), paths[1])
    return Pool(Prompts(pool.prompts, set(traces["prompt_id"])), *paths)


def _scored(student: params.Student, settings: params.Score, pool: Pool, cache: Path) -> pl.DataFrame:
    # What scores brings torch with it: seconds that a stage without `evaluate.rescore` does not need.
    from stepsift.score import setup
    from stepsift.score.run import score_to_tables

    out = pool.traces.parent / "scored"
    out.mkdir()
    with setup.load(student, settings, cache) as scoring:
        score_to_tables(scoring, pool, out)
    return table_files.read(tables.STEP_SCORES, out / tables.STEP_SCORES.file)
