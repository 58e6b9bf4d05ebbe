"""The command `score`: one file of traces to scores of traces and steps, and a ranking of its teachers."""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any, get_args

import polars as pl

from stepsift import params, scratch, sidecache, student
from stepsift.commands import arguments
from stepsift.commands.ranking_lines import Ranked, line, ranked, read_line, rejected_lines, window_lines
from stepsift.core import table_files, tables
from stepsift.core.console import Voice
from stepsift.core.errors import SourceError
from stepsift.core.text import count
from stepsift.ingest.files.find import KINDS, SUFFIXES
from stepsift.score.plan import sample_prompts
from stepsift.select.candidates import find_candidates
from stepsift.select.ranking import rank_teachers
from stepsift.sources.rules import as_keys, own_rule, without

SCORED_STEPS = tables.Table(
    "scored_steps",
    2,
    {c: tables.TRACES.schema[c] for c in ("trace_id", "prompt_id", "teacher")}
    | {c: tables.STEPS.schema[c] for c in ("step", "start", "end")}
    | {c: t for c, t in tables.STEP_SCORES.schema.items() if c not in tables.STEP_SCORES.key},
    key=tables.STEP_SCORES.key,
    nullable=tables.STEP_SCORES.nullable,
    checks=tables.STEP_SCORES.checks,
)
"""Table step_scores with prompt, teacher, and the step's character offsets into the response as ingest has it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift score`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="traces in any layout that stepsift reads")
    parser.add_argument("--student", required=True, metavar="PATH", help="as student.path of params.yaml")
    rules = "a rule file that says how it is read (default: FILE.rule.yaml, where there is one)"
    parser.add_argument("--rules", type=Path, metavar="RULES", help=rules)
    out = "one row per trace; OUT.steps.parquet beside it has one row per step"
    parser.add_argument("--out", required=True, type=Path, metavar="OUT.parquet", help=out)
    parser.add_argument("--metrics", default="lalp,galp", help="names with commas between (default: %(default)s)")
    window = f"steps before it that a step sees (default: {params.Score.model_fields['window'].default})"
    parser.add_argument("--window", type=float, metavar="K", help=window)
    options: dict[str, tuple[type[params.Section], str]] = {
        "unit": (params.Segment, "what a step is"),
        "dtype": (params.Score, "precision of the student"),
        "template": (params.Student, "chat template"),
    }
    for name, (section, text) in options.items():
        field = section.model_fields[name]
        # Offsets come from a file of a pipeline, and a language model is named in params.yaml.
        choices = [choice for choice in get_args(field.annotation) if choice not in ("offsets", "llm")]
        parser.add_argument(f"--{name}", choices=choices, help=f"{text} (default: {field.default})")
    parser.add_argument(
        "--prompts", type=arguments.count, metavar="N", help="only a seeded sample of N prompts (default: all)"
    )


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Score the file, write both tables, and print the ranking of its teachers."""
    given = {
        "student": {"path": args.student, "template": args.template},
        "segment": {"unit": args.unit},
        "score": {"window": args.window, "dtype": args.dtype, "prompts": args.prompts},
    }
    settings = settings_of_file(args.file, args.rules, given, "stepsift score")
    scored = score_file(args.file, args.out, settings, arguments.metric_names(args.metrics), sidecache.root())
    voice.lines(scored.lines)
    voice.data(scored.as_json())


def settings_of_file(file: Path, rules: Path | None, given: dict[str, dict[str, Any]], command: str) -> params.Params:
    """Parameters for one file that is read by `rules`, or by the rule beside it; options that are None have defaults.

    Raises ParamsError, in the name of `command` or of the rule file.
    """
    raw = {name: {k: v for k, v in section.items() if v is not None} for name, section in given.items()}
    rule = params.load_rule(rules) if rules else own_rule(file)
    # No answer is verified here, whatever kind it is.
    every = {"match": "**"} | as_keys(without(rule, "answer_kind"))
    return params.parse(raw | {"ingest": {"files": [every]}}, command)


def steps_path(out: Path) -> Path:
    """Where scores of steps go, beside those of traces: x.steps.parquet for x.parquet."""
    return out.with_suffix(".steps.parquet")


def score_file(file: Path, out: Path, settings: params.Params, metrics: list[str], cache: Path) -> Ranked:
    """Score the traces of `file`; write table trace_scores with `metrics` to `out` and SCORED_STEPS beside it.

    Of `settings`, `score.passes` is replaced by what `metrics` need, and answers are not verified. `cache` is the root
    of all caches. Raises SourceError where the file or `out` cannot be used, before anything
    heavy is loaded; StudentError and ScoringError as scoring does.
    """
    _check(file, out)
    student.locate(settings.student)
    with tempfile.TemporaryDirectory(prefix="stepsift-") as folder:
        found = read_alone(file, Path(folder), settings)
        prompts = sample_prompts(found.prompts["prompt_id"], settings.score.prompts, settings.score.seed)
        wanted = found.traces.filter(pl.col("prompt_id").is_in(list(prompts)))
        scored = scratch.score(found, wanted, settings, metrics, cache)
    _write(scored, metrics, out)
    candidates, _ = find_candidates(found.prompts, wanted, scored.trace_scores, "ignore")
    pool = scratch.in_domains(found, wanted)
    teachers = rank_teachers(candidates, pool, settings.select.bootstrap, settings.select.seed, metrics)
    written = [
        *window_lines(scored.step_scores, scored.trace_scores, settings.score.window),
        line("written", f"{out} ({count(scored.trace_scores.height, 'trace')})"),
        line("", f"{steps_path(out)} ({count(scored.step_scores.height, 'step')})"),
    ]
    return ranked(_what_was_scored(found, scored, settings, len(prompts)), teachers, metrics, written)


def read_alone(file: Path, folder: Path, settings: params.Params) -> scratch.Ingested:
    """Ingest one file, wherever it lies, into an empty scratch folder; answers are not verified."""
    sources = folder / "sources"
    sources.mkdir()
    (sources / _visible(file)).symlink_to(file.resolve())
    unverified = settings.ingest.model_copy(update={"answer_kind": "none"})
    return scratch.read(sources, folder / "work", unverified)


def check_file(file: Path) -> None:
    """Raise SourceError where it is no file of traces."""
    if not file.exists():
        raise SourceError(f"there is no file {file}; name a file of traces ({KINDS})")
    if not file.is_file():
        raise SourceError(f"{file} is no file; name a file of traces ({KINDS}), one at a time")
    if not _visible(file).lower().endswith(SUFFIXES):
        raise SourceError(f"{file} is of a kind that is not read; rename or convert it to one of {KINDS}")


def _check(file: Path, out: Path) -> None:
    """Raise SourceError where the file cannot be read or the outputs have no place."""
    check_file(file)
    if out.suffix != ".parquet":
        raise SourceError(f"--out is '{out}', whose name does not end in .parquet; name a Parquet file")
    if not out.parent.is_dir():
        raise SourceError(f"--out is '{out}', and there is no folder {out.parent}; make it (mkdir -p {out.parent})")
    if not os.access(out.parent, os.W_OK):
        raise SourceError(f"--out is '{out}', and nothing can be written into {out.parent}; choose another folder")
    try:
        # Some disks take no new file though they say so, as /proc does.
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as e:
        raise SourceError(
            f"--out is '{out}', and {out.parent} takes no new file ({e.strerror}); choose another folder"
        ) from None
    for target in (out, steps_path(out)):
        if target.is_dir():
            raise SourceError(f"--out is '{out}', but {target} is a folder; choose another name")
        if target.resolve() == file.resolve():
            raise SourceError(f"--out is '{out}', which would overwrite {file}; choose another name")


def _visible(file: Path) -> str:
    """The file's name as ingest takes it, which leaves hidden files out; it may name the teacher."""
    return file.name.lstrip(".")


def _write(scored: scratch.ScoredTraces, metrics: list[str], out: Path) -> None:
    traces = scored.trace_scores.select(*tables.TRACE_SCORES.schema, *metrics)
    of_trace = traces.select("trace_id", "prompt_id", "teacher")
    offsets = scored.steps.select("trace_id", "step", "start", "end")
    steps = scored.step_scores.join(offsets, on=["trace_id", "step"], how="left").join(of_trace, on="trace_id")
    table_files.write(SCORED_STEPS, steps, steps_path(out))
    table_files.write(tables.TRACE_SCORES, traces, out)


def _what_was_scored(
    found: scratch.Ingested, scored: scratch.ScoredTraces, settings: params.Params, n_prompts: int
) -> list[str]:
    rejected = pl.concat([found.rejected, scored.rejected])
    lines = [read_line("read", found.counts), *rejected_lines(rejected)]
    if n_prompts < found.counts.prompts:
        pool = count(found.counts.prompts, "prompt")
        lines.append(line("sampled", f"{n_prompts} of {pool} (seed {settings.score.seed})"))
    traces = count(scored.trace_scores.height, "trace")
    teachers = count(scored.trace_scores["teacher"].n_unique(), "teacher")
    cached = f", {scored.from_cache} of them from the cache" if scored.from_cache else ""
    lines.append(line("scored", f"{traces} by {teachers}{cached}"))
    if scored.full_not_possible:
        n = count(scored.full_not_possible, "trace")
        lines.append(line("", f"no full pass for {n}: longer than the student's context"))
    return lines
