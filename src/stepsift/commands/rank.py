"""The command `rank`: which teacher suits the student, from a sample of prompts, before the whole pool is paid for."""

import argparse
import tempfile
from pathlib import Path

import polars as pl

from stepsift import params, scratch, sidecache, student
from stepsift.commands import SOURCES, arguments
from stepsift.commands.estimate import seconds_left
from stepsift.commands.ranking_lines import Ranked, line, ranked, read_line, rejected_lines, window_lines
from stepsift.commands.ranking_sample import RankingSample, choose
from stepsift.core.console import Voice
from stepsift.core.pace import duration
from stepsift.core.text import count
from stepsift.select.candidates import find_candidates
from stepsift.select.ranking import rank_teachers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift rank`."""
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder with trace files")
    parser.add_argument(
        "--prompts", type=arguments.count, default=200, metavar="N", help="size of the sample (default: 200)"
    )
    parser.add_argument("--seed", type=int, help="seed of the sample (default: score.seed of params.yaml)")
    parser.add_argument("--metrics", default="lalp", help="names with commas between (default: %(default)s)")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print the ranking of the teachers on a sample, and what scoring all would cost."""
    settings = params.load()
    seed = settings.score.seed if args.seed is None else args.seed
    metrics = arguments.metric_names(args.metrics, ranking=True)
    ranking = rank_sources(args.sources, settings, metrics, (args.prompts, seed), sidecache.root())
    voice.lines(ranking.lines)
    voice.data(ranking.as_json())


def rank_sources(
    sources: Path, settings: params.Params, metrics: list[str], size_and_seed: tuple[int, int], cache: Path
) -> Ranked:
    """Rank the teachers of the sources by `metrics` on a sample of so many prompts, drawn with this seed.

    Candidates are those of `select.correct`, as in the pipeline. The sample is scored in the passes that `metrics`
    need; the cost is that of all other traces in `score.passes`, whatever `score.prompts` says. `cache` is the root
    of all caches. Raises SourceError and SelectionError where there is nothing to rank, before anything heavy is
    loaded; StudentError and ScoringError as scoring does.
    """
    n_prompts, seed = size_and_seed
    student.locate(settings.student)
    with tempfile.TemporaryDirectory(prefix="stepsift-") as folder:
        found = scratch.read(sources, Path(folder) / "work", settings.ingest)
        candidates = _candidates(found, settings)
        sample = choose(candidates, n_prompts, seed)
        scored = scratch.score(found, sample.traces, settings, metrics, cache)
        cost = _cost_left(found, scored, sample, settings)
    # What is sampled are candidates already.
    in_running, _ = find_candidates(found.prompts, sample.traces, scored.trace_scores, "ignore")
    of_sample = found.traces.join(sample.traces, on=["prompt_id", "teacher"], how="semi")
    pool = scratch.in_domains(found, of_sample)
    teachers = rank_teachers(in_running, pool, settings.select.bootstrap, settings.select.seed)
    about = [*_what_was_sampled(found, candidates, sample, settings, seed), *rejected_lines(scored.rejected)]
    seen = window_lines(scored.step_scores, scored.trace_scores, settings.score.window)
    return ranked(about, teachers, metrics, [*seen, line("whole pool", cost)])


def _candidates(found: scratch.Ingested, settings: params.Params) -> pl.DataFrame:
    """The candidates as they will be if every trace can be scored: which traces those are depends on no score."""
    scores = found.traces.select("trace_id", "prompt_id", "teacher")
    candidates, _ = find_candidates(found.prompts, found.traces, scores, settings.select.correct)
    return candidates.select("trace_id").join(found.traces, on="trace_id", maintain_order="left")


def _what_was_sampled(
    found: scratch.Ingested, candidates: pl.DataFrame, sample: RankingSample, settings: params.Params, seed: int
) -> list[str]:
    return [
        read_line("sources", found.counts),
        *rejected_lines(found.rejected),
        line("candidates", f"{count(candidates.height, 'trace')} (select.correct: {settings.select.correct})"),
        line("sampled", sample.sentence(seed)),
        *(line("left out", f"{name} is incomparable: {why}") for name, why in sample.left_out.items()),
    ]


def _cost_left(
    found: scratch.Ingested, scored: scratch.ScoredTraces, sample: RankingSample, settings: params.Params
) -> str:
    """What it takes to score the traces that are not in the sample, as params.yaml wants them scored."""
    left = found.traces.join(sample.traces, on="trace_id", how="anti")
    if left.is_empty():
        return "all of it was sampled"
    traces = count(left.height, "trace")
    seconds = seconds_left(found, scored, left, settings)
    if seconds is None:
        return f"{traces} more; the sample came from the cache, so that no speed was measured"
    passes = " and ".join(settings.score.passes)
    return f"{traces} more would take about {duration(seconds)} at this speed (score.passes: {passes})"
