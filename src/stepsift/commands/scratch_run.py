"""The stages ingest, segment and score in a folder that is thrown away afterwards."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from stepsift import params, segment
from stepsift.core import tables
from stepsift.core.errors import ParamsError, SelectionError
from stepsift.ingest.run import IngestCounts, ingest
from stepsift.metrics import all_metrics, fit_all, trace_scores, trace_sums, with_fits
from stepsift.score.forward.request import Request
from stepsift.score.plan import Planner
from stepsift.score.pool import Pool, Prompts

PassName = Literal["local", "full"]


@dataclass(frozen=True)
class Read:
    """Sources after ingest, in the folder of its tables.

    `prompts` has columns prompt_id and domain; `traces` those of table traces but the response, and `chars`, its length
    in characters; `rejected` is the table of its name.
    """

    folder: Path
    counts: IngestCounts
    prompts: pl.DataFrame
    traces: pl.DataFrame
    rejected: pl.DataFrame


@dataclass(frozen=True)
class Scored:
    """Scored traces: the tables of these names, trace_scores with trace sums beside every score, and what they took.

    `flops` operations were computed in `seconds`; all of `from_cache` traces was in the cache. `full_not_possible`
    traces are longer than the student's context. `planner` planned them; `request_flops` says what a request takes.
    """

    steps: pl.DataFrame
    step_scores: pl.DataFrame
    trace_scores: pl.DataFrame
    rejected: pl.DataFrame
    flops: float
    seconds: float
    from_cache: int
    full_not_possible: int
    planner: Planner
    request_flops: Callable[[Request], float]


def read(sources: Path, folder: Path, settings: params.Ingest) -> Read:
    """Ingest all files below `sources` into `folder`; raises SourceError as `ingest` does."""
    counts = ingest(sources, folder, settings)
    prompts = list(tables.scan(tables.PROMPTS, folder / tables.PROMPTS.file, ["prompt_id", "domain"]))
    length = pl.col("response").str.len_chars().cast(pl.Int64).alias("chars")
    traces = [
        frame.with_columns(length).drop("response") for frame in tables.scan(tables.TRACES, folder / tables.TRACES.file)
    ]
    rejected = tables.read(tables.REJECTED, folder / tables.REJECTED.file)
    return Read(folder, counts, pl.concat(prompts), pl.concat(traces), rejected)


def score(found: Read, wanted: pl.DataFrame, settings: params.Params, metrics: list[str], cache: Path) -> Scored:
    """Segment and score the traces of `wanted` (rows of `found.traces`), in the passes that `metrics` need.

    Raises StudentError and ScoringError as scoring does; nothing heavy is loaded before it is called.
    """
    # Not before it is needed: torch takes seconds to import.
    from stepsift.score import setup
    from stepsift.score.run import score_to_tables

    out = found.folder / "scored"
    traces, steps = out / tables.TRACES.file, out / tables.STEPS.file
    ids = wanted["trace_id"].implode()
    with tables.Writer(tables.TRACES, traces) as trace_writer, tables.Writer(tables.STEPS, steps) as step_writer:
        for frame in tables.scan(tables.TRACES, found.folder / tables.TRACES.file):
            chosen = frame.filter(pl.col("trace_id").is_in(ids))
            trace_writer.write(chosen)
            step_writer.write(segment.segment_table(chosen, settings.segment))
    prompts = Prompts(found.folder / tables.PROMPTS.file, set(wanted["prompt_id"]))
    how = settings.score.model_copy(update={"passes": passes_of(metrics)})
    with setup.load(settings.student, how, cache) as scoring:
        score_to_tables(scoring, Pool(prompts, traces, steps), out)
        progress = scoring.progress
        seconds = progress.speed()["seconds"]
    step_scores = tables.read(tables.STEP_SCORES, out / tables.STEP_SCORES.file)
    return Scored(
        steps=tables.read(tables.STEPS, steps),
        step_scores=step_scores,
        trace_scores=_with_fits(trace_scores(trace_sums(step_scores), wanted, settings.select.seed), metrics, settings),
        rejected=tables.read(tables.REJECTED, out / tables.REJECTED.file),
        flops=progress.flops,
        seconds=seconds,
        from_cache=progress.from_cache,
        full_not_possible=progress.full_not_possible,
        planner=scoring.planner,
        request_flops=scoring.backend.size.flops,
    )


def in_domains(found: Read, traces: pl.DataFrame) -> pl.DataFrame:
    """Teacher and domain of these traces, as `rank_teachers` wants the pool."""
    return traces.join(found.prompts, on="prompt_id", how="left").select("teacher", "domain")


def _with_fits(scored: pl.DataFrame, metrics: list[str], settings: params.Params) -> pl.DataFrame:
    """Every scored trace is a candidate here. Raises SelectionError where a metric that was asked for is not
    determined."""
    fits = fit_all(scored, settings.select.casl_fit)
    for name in metrics:
        if name in fits.failed:
            raise SelectionError(fits.failed[name])
    return with_fits(scored, fits)


def metric_names(text: str, ranking: bool = False) -> list[str]:
    """The metrics of a list such as "lalp,galp", each once; `ranking`: only those by which teachers can be ranked.

    Raises ParamsError where a name is no such metric, with the nearest names.
    """
    known = {
        name: metric
        for name, metric in all_metrics().items()
        if not ranking or (metric.better and metric.ranks_teachers)
    }
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name in known:
            continue
        if name in all_metrics():
            what = f"'{name}' ranks no teachers"
        else:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            what = f"'{name}' is no metric" + (f", did you mean {' or '.join(near)}?" if near else "")
        raise ParamsError([f"--metrics is '{text}': {what}; known are {', '.join(known)}"])
    return names


def passes_of(metrics: list[str]) -> tuple[PassName, ...]:
    """The passes without which one of these metrics has no score; `local` where none needs a pass: one must be made."""
    needs = {all_metrics()[name].needs for name in metrics}
    passes: tuple[PassName, ...] = ("local", "full")
    return tuple(p for p in passes if p in needs) or ("local",)
