"""The stages ingest, segment and score on a few traces, in a folder that is thrown away afterwards.

This is the one way to score beside the pipeline: for the commands `score`, `rank` and `verify`. It joins three rooms
and belongs to none of them, no stage runs it (so none is run again for it), and `lineage` may import it, which imports
no command: hence its place beside the rooms.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from stepsift import params, segment, sidecache
from stepsift.core import table_files, tables
from stepsift.core.errors import SelectionError
from stepsift.ingest.run import IngestCounts, ingest
from stepsift.metrics import all_metrics, fit_all, trace_scores, trace_sums, with_fits
from stepsift.score.plan import Planner
from stepsift.score.pool import Pool, PoolTables, Prompts

if TYPE_CHECKING:  # it imports torch
    from stepsift.score.backends.local import ModelSize
    from stepsift.score.identity import Identity
    from stepsift.score.setup import Scoring

log = logging.getLogger(__name__)

PassName = Literal["local", "full"]


@dataclass(frozen=True)
class Ingested:
    """Sources after ingest, in the folder of its tables.

    `prompts` has columns prompt_id and domain; `traces` those of table traces but the response, and `chars`, its length
    in characters; `rejected` is the table of its name.
    """

    folder: Path
    counts: IngestCounts
    prompts: pl.DataFrame
    traces: pl.DataFrame
    rejected: pl.DataFrame

    @property
    def tables(self) -> PoolTables:
        """Where its tables lie."""
        return PoolTables(self.folder / tables.PROMPTS.file, self.folder / tables.TRACES.file)


@dataclass(frozen=True)
class ScoredSteps:
    """Traces after scoring: the tables steps, step_scores and rejected, whose scores they are, and what they took.

    `flops` operations were computed in `seconds`; all of `from_cache` traces was in the cache. `full_not_possible`
    traces are longer than the student's context. `planner` planned them; `size` is the model's,
    None where nothing was computed and so no model was loaded.
    """

    steps: pl.DataFrame
    step_scores: pl.DataFrame
    rejected: pl.DataFrame
    identity: "Identity"
    flops: float
    seconds: float
    from_cache: int
    full_not_possible: int
    planner: Planner
    size: "ModelSize | None"


@dataclass(frozen=True)
class ScoredTraces(ScoredSteps):
    """The same with table trace_scores, trace sums beside every score."""

    trace_scores: pl.DataFrame


def read(sources: Path, folder: Path, settings: params.Ingest) -> Ingested:
    """Ingest all files below `sources` into `folder`; raises SourceError as `ingest` does."""
    counts = ingest(sources, folder, settings)
    prompts = list(table_files.scan(tables.PROMPTS, folder / tables.PROMPTS.file, ["prompt_id", "domain"]))
    length = pl.col("response").str.len_chars().cast(pl.Int64).alias("chars")
    traces = [
        frame.with_columns(length).drop("response")
        for frame in table_files.scan(tables.TRACES, folder / tables.TRACES.file)
    ]
    rejected = table_files.read(tables.REJECTED, folder / tables.REJECTED.file)
    return Ingested(folder, counts, pl.concat(prompts), pl.concat(traces), rejected)


def score_steps(
    pool: PoolTables, trace_ids: Collection[str], settings: params.Params, cache: Path, out: Path
) -> ScoredSteps:
    """Score these traces of a pool as `settings` say; `out` is the scratch folder, `cache` the root of all caches.

    Raises StudentError and ScoringError as scoring does; nothing heavy is loaded before it is called.
    """
    # Not before it is needed: torch takes seconds to import.
    from stepsift.score import setup

    prompt_ids = _write_sample(pool, trace_ids, settings.segment, cache, out)
    return _scored_steps(pool.prompts, prompt_ids, lambda: setup.load(settings.student, settings.score, cache), out)


def _write_sample(
    pool: PoolTables, trace_ids: Collection[str], settings: params.Segment, cache: Path, out: Path
) -> set[str]:
    """Tables traces and steps of these traces, into `out`; the ids of their prompts.

    Where a language model groups sentences, what that takes and came to is logged, and answers are kept in `cache`.
    """
    of_sample = pl.col("trace_id").is_in(pl.Series(list(trace_ids), dtype=pl.String).implode())
    traces, steps = out / tables.TRACES.file, out / tables.STEPS.file
    prompt_ids: set[str] = set()
    with table_files.Writer(tables.TRACES, traces) as trace_writer:
        for frame in table_files.scan(tables.TRACES, pool.traces):
            part = frame.filter(of_sample)
            prompt_ids.update(part["prompt_id"])
            trace_writer.write(part)
    with table_files.Writer(tables.STEPS, steps) as step_writer:
        if pool.steps is not None:
            for frame in table_files.scan(tables.STEPS, pool.steps):
                step_writer.write(frame.filter(of_sample))
        else:
            with segment.open_grouping(settings, cache) as grouping:
                if grouping is not None:
                    responses = (
                        r for f in table_files.scan(tables.TRACES, traces, ["response"]) for r in f["response"]
                    )
                    log.info("asks %s", segment.forecast(responses, settings, cache).sentence(grouping.llm))
                for frame in table_files.scan(tables.TRACES, traces):
                    step_writer.write(segment.segment_table(frame, settings, grouping))
                if grouping is not None:
                    log.info("%s", grouping.finish())
    return prompt_ids


def _scored_steps(prompts: Path, prompt_ids: set[str], load: Callable[[], "Scoring"], out: Path) -> ScoredSteps:
    """Score the sample that lies in `out`."""
    from stepsift.score.run import score_to_tables

    traces, steps = out / tables.TRACES.file, out / tables.STEPS.file
    with load() as scoring:
        score_to_tables(scoring, Pool(Prompts(prompts, prompt_ids), traces, steps), out)
        progress = scoring.progress
        seconds = progress.speed()["seconds"]
        size = scoring.backend.size if progress.flops else None
    return ScoredSteps(
        steps=table_files.read(tables.STEPS, steps),
        step_scores=table_files.read(tables.STEP_SCORES, out / tables.STEP_SCORES.file),
        rejected=table_files.read(tables.REJECTED, out / tables.REJECTED.file),
        identity=scoring.identity,
        flops=progress.flops,
        seconds=seconds,
        from_cache=progress.from_cache,
        full_not_possible=progress.full_not_possible,
        planner=scoring.planner,
        size=size,
    )


def score(
    pool: Ingested, traces: pl.DataFrame, settings: params.Params, metrics: list[str], cache: Path
) -> ScoredTraces:
    """Score `traces` (rows of `pool.traces`) in the passes that `metrics` need.

    Raises StudentError and ScoringError as scoring does, and SelectionError where a metric is not determined.
    """
    of_metrics = _in_passes(settings, passes_of(metrics))
    scored = score_steps(pool.tables, traces["trace_id"].to_list(), of_metrics, cache, pool.folder / "scored")
    return _with_trace_scores(scored, traces, settings, metrics)


def estimate(pool: Ingested, traces: pl.DataFrame, settings: params.Params, metrics: list[str]) -> ScoredTraces:
    """The same for `metrics` of the local pass, estimated by one masked pass over each trace.

    Nothing of it is kept: an estimate never meets a score. Raises as `score` does, and ScoringError for a student whose
    attention cannot be replaced.
    """
    from stepsift.score import setup

    of_metrics, out = _in_passes(settings, ("local",)), pool.folder / "estimated"
    trace_ids = traces["trace_id"].to_list()
    prompt_ids = _write_sample(pool.tables, trace_ids, of_metrics.segment, sidecache.root(), out)
    scored = _scored_steps(
        pool.tables.prompts,
        prompt_ids,
        lambda: setup.load_estimates(of_metrics.student, of_metrics.score, out / "values"),
        out,
    )
    return _with_trace_scores(scored, traces, settings, metrics)


def _in_passes(settings: params.Params, passes: tuple[PassName, ...]) -> params.Params:
    return settings.model_copy(update={"score": settings.score.model_copy(update={"passes": passes})})


def _with_trace_scores(
    scored: ScoredSteps, traces: pl.DataFrame, settings: params.Params, metrics: list[str]
) -> ScoredTraces:
    scores = trace_scores(trace_sums(scored.step_scores), traces, settings.select.seed)
    return ScoredTraces(**vars(scored), trace_scores=_with_fits(scores, metrics, settings))


def in_domains(pool: Ingested, traces: pl.DataFrame) -> pl.DataFrame:
    """Teacher and domain of these traces, as `rank_teachers` wants the pool."""
    return traces.join(pool.prompts, on="prompt_id", how="left").select("teacher", "domain")


def _with_fits(scored: pl.DataFrame, metrics: list[str], settings: params.Params) -> pl.DataFrame:
    """Every scored trace is a candidate here. Raises SelectionError where a metric that was asked for is not
    determined."""
    fits = fit_all(scored, settings.select.casl_fit)
    for name in metrics:
        if name in fits.failed:
            raise SelectionError(fits.failed[name])
    return with_fits(scored, fits)


def passes_of(metrics: list[str]) -> tuple[PassName, ...]:
    """The passes without which one of these metrics has no score; `local` where none needs a pass: one must be made."""
    needs = {all_metrics()[name].needs for name in metrics}
    passes: tuple[PassName, ...] = ("local", "full")
    return tuple(p for p in passes if p in needs) or ("local",)
