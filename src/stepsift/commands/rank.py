"""The command `rank`: which teacher suits the student, from a sample of prompts, before the whole pool is paid for."""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stepsift import params, scratch, sidecache, student
from stepsift.commands import SOURCES, arguments
from stepsift.commands.estimate import seconds_left
from stepsift.commands.ranking_lines import Ranked, counted, line, ranked, read_line, rejected_lines
from stepsift.core.console import Voice
from stepsift.core.errors import SelectionError
from stepsift.core.pace import duration
from stepsift.score.plan import sample_prompts
from stepsift.select.candidates import find_candidates
from stepsift.select.ranking import MIN_COVERAGE, rank_teachers


@dataclass(frozen=True)
class Sample:
    """What a ranking is made from.

    `traces` are the candidates of the `teachers` on the sampled prompts; `n_common` prompts have a candidate of every
    one of these teachers, `n_prompts` of them are sampled. `left_out`: other teachers, and on how many prompts they
    have a candidate.
    """

    traces: pl.DataFrame
    teachers: list[str]
    n_common: int
    n_prompts: int
    left_out: dict[str, int]


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
    return ranked(about, teachers, metrics, [line("whole pool", cost)])


def choose(candidates: pl.DataFrame, n_prompts: int, seed: int) -> Sample:
    """Sample prompts on which every teacher can be compared; `candidates` has trace_id, prompt_id and teacher.

    Teachers are compared on the prompts that they have in common (see rank_teachers), so that no others are worth
    paying for: the sample estimates what the whole pool would say. Teachers that the whole pool would not rank are left
    out. Raises SelectionError where fewer than two teachers remain, or they have no prompt in common.
    """
    n_by_teacher = dict(candidates.group_by("teacher").agg(pl.col("prompt_id").n_unique()).sort("teacher").iter_rows())
    enough = MIN_COVERAGE * max(n_by_teacher.values())
    teachers = [name for name, n in n_by_teacher.items() if n >= enough]
    counts = ", ".join(f"{name} {n}" for name, n in n_by_teacher.items())
    if len(teachers) < 2:
        raise SelectionError(
            f"there is nothing to rank: only {teachers[0]} has candidates for enough prompts (prompts: {counts}); add "
            "traces of another teacher for the same prompts"
        )
    theirs = candidates.filter(pl.col("teacher").is_in(teachers))
    covered = theirs.group_by("prompt_id").agg(pl.col("teacher").n_unique())
    common = covered.filter(pl.col("teacher") == len(teachers))["prompt_id"]
    if common.is_empty():
        raise SelectionError(
            f"no prompt has a candidate of each of {', '.join(teachers)} (prompts: {counts}), so they cannot be "
            "compared; set select.correct to ignore, leave a teacher out, or map ingest.fields.prompt_id if prompts "
            "differ by teacher"
        )
    sampled = sample_prompts(common, n_prompts, seed)
    return Sample(
        traces=theirs.filter(pl.col("prompt_id").is_in(list(sampled))),
        teachers=teachers,
        n_common=len(common),
        n_prompts=len(sampled),
        left_out={name: n for name, n in n_by_teacher.items() if name not in teachers},
    )


def _candidates(found: scratch.Ingested, settings: params.Params) -> pl.DataFrame:
    """The candidates as they will be if every trace can be scored: which traces those are depends on no score."""
    scores = found.traces.select("trace_id", "prompt_id", "teacher")
    candidates, _ = find_candidates(found.prompts, found.traces, scores, settings.select.correct)
    return candidates.select("trace_id").join(found.traces, on="trace_id", maintain_order="left")


def _what_was_sampled(
    found: scratch.Ingested, candidates: pl.DataFrame, sample: Sample, settings: params.Params, seed: int
) -> list[str]:
    teachers, common = counted(len(sample.teachers), "teacher"), counted(sample.n_common, "prompt")
    lines = [
        read_line("sources", found.counts),
        *rejected_lines(found.rejected),
        line("candidates", f"{counted(candidates.height, 'trace')} (select.correct: {settings.select.correct})"),
        line(
            "sampled",
            f"{sample.n_prompts} of {common} with a candidate of each of the {teachers} (seed {seed}): "
            f"{counted(sample.traces.height, 'trace')}",
        ),
    ]
    lines += [
        line("left out", f"{name}: candidates for {counted(n, 'prompt')}, too few to be compared on")
        for name, n in sample.left_out.items()
    ]
    return lines


def _cost_left(found: scratch.Ingested, scored: scratch.ScoredTraces, sample: Sample, settings: params.Params) -> str:
    """What it takes to score the traces that are not in the sample, as params.yaml wants them scored."""
    left = found.traces.join(sample.traces, on="trace_id", how="anti")
    if left.is_empty():
        return "all of it was sampled"
    traces = counted(left.height, "trace")
    seconds = seconds_left(found, scored, left, settings)
    if seconds is None:
        return f"{traces} more; the sample came from the cache, so that no speed was measured"
    passes = " and ".join(settings.score.passes)
    return f"{traces} more would take about {duration(seconds)} at this speed (score.passes: {passes})"
