"""The command `rank`: which teacher suits the student, from a sample of prompts, before the whole pool is paid for."""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stepsift import params, scratch, sidecache, student
from stepsift.commands import SOURCES, arguments
from stepsift.commands.agreement import agreement_lines, times_as_fast
from stepsift.commands.estimate import seconds_left
from stepsift.commands.ranking_lines import Ranked, line, ranked, read_line, rejected_lines, window_lines
from stepsift.commands.ranking_sample import RankingSample, choose
from stepsift.core.console import Voice
from stepsift.core.errors import ParamsError
from stepsift.core.pace import duration
from stepsift.core.text import count
from stepsift.metrics import all_metrics
from stepsift.select.candidates import find_candidates
from stepsift.select.ranking import rank_teachers

CHECKED_PROMPTS = 20
"""Prompts of the sample on which an estimate is compared with exact scores."""


@dataclass(frozen=True)
class SampleSize:
    """How many prompts are sampled, with which seed, and whether their scores are estimated (`--fast`)."""

    n_prompts: int
    seed: int
    fast: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift rank`."""
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder with trace files")
    parser.add_argument(
        "--prompts", type=arguments.count, default=200, metavar="N", help="size of the sample (default: 200)"
    )
    parser.add_argument("--seed", type=int, help="seed of the sample (default: score.seed of params.yaml)")
    parser.add_argument("--metrics", default="lalp", help="names with commas between (default: %(default)s)")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="estimate scores by one masked pass per trace, and say how well that agrees with exact ones on a part",
    )


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print the ranking of the teachers on a sample, and what scoring all would cost."""
    settings = params.load()
    seed = settings.score.seed if args.seed is None else args.seed
    metrics = arguments.metric_names(args.metrics, ranking=True)
    size = SampleSize(args.prompts, seed, args.fast)
    ranking = rank_sources(args.sources, settings, metrics, size, sidecache.root())
    voice.lines(ranking.lines)
    voice.data(ranking.as_json())


def rank_sources(sources: Path, settings: params.Params, metrics: list[str], size: SampleSize, cache: Path) -> Ranked:
    """Rank the teachers of the sources by `metrics` on a sample of prompts.

    Candidates are those of `select.correct`, as in the pipeline. The sample is scored in the passes that `metrics`
    need; the cost is that of all other traces in `score.passes`, whatever `score.prompts` says. `cache` is the root
    of all caches. Raises SourceError and SelectionError where there is nothing to rank, ParamsError where a metric
    cannot be estimated, before anything heavy is loaded; StudentError and ScoringError as scoring does.
    """
    if size.fast:
        _check_estimable(metrics)
    student.locate(settings.student)
    with tempfile.TemporaryDirectory(prefix="stepsift-") as folder:
        pool = scratch.read(sources, Path(folder) / "work", settings.ingest)
        candidates = _candidates(pool, settings)
        dropped = pool.traces.height - candidates.height
        sample = choose(candidates, size.n_prompts, size.seed, dropped)
        checked = choose(candidates, min(size.n_prompts, CHECKED_PROMPTS), size.seed) if size.fast else sample
        exact = scratch.score(pool, checked.traces, settings, metrics, cache)
        scored, agreement = exact, []
        if size.fast:
            scored = scratch.estimate(pool, sample.traces, settings, metrics)
            speed = times_as_fast(scored, exact)
            agreement = agreement_lines(scored.trace_scores, exact.trace_scores, metrics, speed)
        cost = _cost_left(pool, exact, sample, settings)
    # What is sampled are candidates already.
    in_running, _ = find_candidates(pool.prompts, sample.traces, scored.trace_scores, "ignore")
    of_sample = pool.traces.join(sample.traces, on=["prompt_id", "teacher"], how="semi")
    teachers = rank_teachers(
        in_running, scratch.in_domains(pool, of_sample), settings.select.bootstrap, settings.select.seed, metrics
    )
    about = [*_what_was_sampled(pool, candidates, sample, settings, size.seed), *rejected_lines(scored.rejected)]
    seen = window_lines(scored.step_scores, scored.trace_scores, settings.score.window)
    return ranked([*about, *agreement], teachers, metrics, [*seen, line("whole pool", cost)])


def _check_estimable(metrics: list[str]) -> None:
    if others := [name for name in metrics if all_metrics()[name].needs != "local"]:
        names = ", ".join(others)
        text = f"--fast estimates what is scored in windows alone: leave out --fast, or {names}"
        raise ParamsError([text])


def _candidates(ingested: scratch.Ingested, settings: params.Params) -> pl.DataFrame:
    """The candidates as they will be if every trace can be scored: which traces those are depends on no score."""
    scores = ingested.traces.select("trace_id", "prompt_id", "teacher")
    candidates, _ = find_candidates(ingested.prompts, ingested.traces, scores, settings.select.correct)
    return candidates.select("trace_id").join(ingested.traces, on="trace_id", maintain_order="left")


def _what_was_sampled(
    ingested: scratch.Ingested, candidates: pl.DataFrame, sample: RankingSample, settings: params.Params, seed: int
) -> list[str]:
    return [
        read_line("sources", ingested.counts),
        *rejected_lines(ingested.rejected),
        line("candidates", f"{count(candidates.height, 'trace')} (select.correct: {settings.select.correct})"),
        line("sampled", sample.sentence(seed)),
        *(line("left out", f"{name} is incomparable: {why}") for name, why in sample.left_out.items()),
    ]


def _cost_left(
    ingested: scratch.Ingested, scored: scratch.ScoredTraces, sample: RankingSample, settings: params.Params
) -> str:
    """What it takes to score the traces that are not in the sample, as params.yaml wants them scored."""
    left = ingested.traces.join(sample.traces, on="trace_id", how="anti")
    if left.is_empty():
        return "all of it was sampled"
    traces = count(left.height, "trace")
    seconds = seconds_left(ingested, scored, left, settings)
    if seconds is None:
        return f"{traces} more; the sample came from the cache, so that no speed was measured"
    passes = " and ".join(settings.score.passes)
    return f"{traces} more would take about {duration(seconds)} at this speed (score.passes: {passes})"
