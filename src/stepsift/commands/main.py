"""The `stepsift` command."""

import argparse
import logging
from pathlib import Path
from typing import get_args

from stepsift import __version__, params
from stepsift.commands import arguments, ui
from stepsift.core import console
from stepsift.core.console import Voice
from stepsift.core.errors import CacheError, StepsiftError
from stepsift.lineage import commands as lineage
from stepsift.sources import commands as sources


def main() -> None:
    """Entry point of the console script; exits 1 with one sentence a problem, 2 for a wrong call."""
    console.run(_main)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(prog="stepsift", description="Curate reasoning-distillation data for one student.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="validate parameters, sources and student, and print the plan")
    check.add_argument("--sources", type=Path, default=Path("data/sources"), help="folder with trace files")
    check.add_argument("--tasks", type=Path, default=Path("data/tasks"), help="folder with local evaluation tasks")
    check.add_argument("--student", action="store_true", help="also score two traces twice, and compare")
    sources.add_add(commands.add_parser("add", help="check a file of traces, and add it to the sources, under DVC"))
    sources.add_remove(commands.add_parser("remove", help="take a file that was added out of the sources"))
    commands.add_parser("metrics", help="list the metrics, with direction and source")
    _add_score(commands.add_parser("score", help="score any file of traces, without params.yaml or DVC"))
    _add_rank(commands.add_parser("rank", help="rank the teachers on a sample of prompts, before all are scored"))
    _add_tune(commands.add_parser("tune", help="measure which batches score fastest here, and propose settings"))
    _add_cache(commands.add_parser("cache", help="show what is kept of scores, models, evaluations and auditions"))
    lineage.add_why(commands.add_parser("why", help="where a trace comes from, and why it was chosen or not"))
    lineage.add_verify(
        commands.add_parser("verify", help="check every link from the sources to the exports"), arguments.count
    )
    lineage.add_diff(
        commands.add_parser("diff", help="what changed in the curated sets between two revisions, and why")
    )
    lineage.add_report(
        commands.add_parser("report", help="the report's page once more, with what changed since a commit")
    )
    audition = "train a student by each metric, teacher and control, and say which data made it better"
    _add_audition(commands.add_parser("audition", help=audition))
    setup = "create the MLflow database that params.yaml names"
    commands.add_parser("setup", help=setup)
    ui.add(commands.add_parser("ui", help="serve MLflow's pages on the runs of this repository"))
    for command in commands.choices.values():
        _add_voice(command)
    return parser


def _main() -> None:
    args = build_parser().parse_args()
    voice = Voice("json" if vars(args).get("json") else "quiet" if vars(args).get("quiet") else "lines")
    if voice.form == "quiet":
        logging.getLogger("stepsift").setLevel(logging.WARNING)
    {
        "check": _check,
        "add": sources.run_add,
        "remove": sources.run_remove,
        "metrics": _metrics,
        "score": _score,
        "rank": _rank,
        "tune": _tune,
        "cache": _cache,
        "why": lineage.run_why,
        "verify": lineage.run_verify,
        "diff": lineage.run_diff,
        "report": lineage.run_report,
        "audition": _audition,
        "setup": _setup,
        "ui": ui.run,
    }[args.command](args, voice)


def _add_voice(parser: argparse.ArgumentParser) -> None:
    """Options that every command has, before or after the name of an action."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON, on standard output"
    )
    quiet = "say nothing but what is wrong"
    how.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help=quiet)


def _check(args: argparse.Namespace, voice: Voice) -> None:
    settings = params.load()
    # After the parameters: what follows takes seconds to import.
    from stepsift.commands.check import check, check_student
    from stepsift.container.image import machine_lines

    report = check(settings, args.sources, args.tasks)
    machine, missing = machine_lines(Path.cwd())
    # What is to be trained stays the last line.
    plan = [*report.plan[:-1], *machine, *report.plan[-1:]]
    voice.lines(plan)
    problems = params.missing_for_dvc() + report.problems + missing
    compared = check_student(settings, report.sample) if args.student and not problems else []
    voice.lines(compared)
    voice.data({"plan": plan + compared, "problems": problems})
    if problems:
        raise StepsiftError("\n".join(problems))


def _metrics(_: argparse.Namespace, voice: Voice) -> None:
    from stepsift.metrics import all_metrics

    width = max(map(len, all_metrics()))
    found = []
    for name, metric in all_metrics().items():
        direction = {"high": "higher is better", "low": "lower is better", None: "no direction"}[metric.better]
        found.append({"name": name, "direction": direction, "about": metric.about, "source": metric.source})
    voice.lines("{name:{0}} {direction:18} {about} Source: {source}".format(width, **m) for m in found)
    voice.data(found)


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="traces in any layout that stepsift reads")
    parser.add_argument("--student", required=True, metavar="PATH", help="as student.path of params.yaml")
    out = "a row a trace; OUT.steps.parquet beside it has a row a step"
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
        known = section.model_fields[name]
        parser.add_argument(f"--{name}", choices=get_args(known.annotation), help=f"{text} (default: {known.default})")
    parser.add_argument(
        "--prompts", type=arguments.count, metavar="N", help="only a seeded sample of N prompts (default: all)"
    )


def _add_rank(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", type=Path, default=Path("data/sources"), help="folder with trace files")
    parser.add_argument(
        "--prompts", type=arguments.count, default=200, metavar="N", help="size of the sample (default: 200)"
    )
    parser.add_argument("--seed", type=int, help="seed of the sample (default: score.seed of params.yaml)")
    parser.add_argument("--metrics", default="lalp", help="names with commas between (default: %(default)s)")


def _score(args: argparse.Namespace, voice: Voice) -> None:
    given = {
        "student": {"path": args.student, "template": args.template},
        "segment": {"unit": args.unit},
        "score": {"window": args.window, "dtype": args.dtype, "prompts": args.prompts},
    }
    raw = {name: {k: v for k, v in section.items() if v is not None} for name, section in given.items()}
    settings = params.parse(raw, "stepsift score")
    from stepsift import sidecache
    from stepsift.commands.score import score_file
    from stepsift.commands.scratch_run import metric_names

    metrics = metric_names(args.metrics)
    scored = score_file(args.file, args.out, settings, metrics, sidecache.root())
    voice.lines(scored.lines)
    voice.data(scored.as_json())


def _rank(args: argparse.Namespace, voice: Voice) -> None:
    settings = params.load()
    from stepsift import sidecache
    from stepsift.commands.rank import rank
    from stepsift.commands.scratch_run import metric_names

    metrics = metric_names(args.metrics, ranking=True)
    seed = settings.score.seed if args.seed is None else args.seed
    ranked = rank(args.sources, settings, metrics, args.prompts, seed, sidecache.root())
    voice.lines(ranked.lines)
    voice.data(ranked.as_json())


def _add_tune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", type=Path, default=Path("data/sources"), help="folder with trace files")
    seconds = "how long to measure, once the sources are read and the student is loaded (default: %(default)s)"
    parser.add_argument("--seconds", type=arguments.positive, default=60.0, metavar="S", help=seconds)


def _add_cache(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    text = "compare every file with its checksum; what is damaged is set aside, and exit code 1 says so"
    actions.add_parser("verify", help=text, description=text)
    text = "remove what was set aside as damaged, what dead runs left and, if asked for, what was long not used"
    prune = actions.add_parser("prune", help=text, description=text)
    unused = "also remove scores, models, evaluations and auditions that were not used for so long (default: keep all)"
    prune.add_argument("--unused-days", type=arguments.positive, metavar="N", help=unused)
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    text = "fill the caches with scores, models and evaluations that DVC holds for another git revision"
    warm = actions.add_parser("warm", help=text, description=text)
    warm.add_argument("--rev", required=True, help="branch, tag or commit whose pipeline was run")
    for action in actions.choices.values():
        _add_voice(action)


def _tune(args: argparse.Namespace, voice: Voice) -> None:
    settings = params.load()
    from stepsift import segment
    from stepsift.commands.tune import Sampled, tune
    from stepsift.ingest.run import survey

    sample = [
        Sampled([dict(m) for m in t.prompt], t.response, segment.split(t.response, settings.segment).ends)
        for t in survey(args.sources, settings.ingest).sample
    ]
    lines = tune(settings.student, settings.score, sample, args.seconds)
    voice.lines(lines)
    voice.data({"lines": lines})


def _cache(args: argparse.Namespace, voice: Voice) -> None:
    from stepsift import cachetool, sidecache

    root = sidecache.root()
    problems: list[str] = []
    match args.action:
        case "verify":
            problems = cachetool.verify(root)
            lines = [] if problems else [f"nothing is damaged in {root}"]
        case "prune":
            lines = cachetool.prune(root, args.unused_days, args.dry_run)
        case "warm":
            settings = params.load()
            from stepsift.commands.warm import warm

            warmed = warm(args.rev, settings, root)
            lines, problems = warmed.lines, warmed.problems
        case _:
            lines = cachetool.show(root)
    voice.lines(lines)
    voice.data({"lines": lines, "problems": problems} | (cachetool.as_json(root) if args.action is None else {}))
    if problems:
        raise CacheError("\n".join(problems))


def _add_audition(parser: argparse.ArgumentParser) -> None:
    workers = "students trained side by side, each on its own GPU or share of the processor (default: %(default)s)"
    parser.add_argument("--workers", type=arguments.count, default=1, metavar="N", help=workers)
    pilot = "try one seed on this share of the prompts, and say what the whole would cost"
    parser.add_argument("--pilot", type=arguments.share, metavar="SHARE", help=pilot)
    parser.add_argument("--out", type=Path, default=Path("auditions"), help="folder of all auditions")
    parser.add_argument("--tasks", type=Path, default=Path("data/tasks"), help="folder with local evaluation tasks")


def _audition(args: argparse.Namespace, voice: Voice) -> None:
    settings = params.load()
    from stepsift import audition, sidecache

    places = audition.Places(
        Path("data/ingest/prompts.parquet"),
        Path("data/ingest/traces.parquet"),
        Path("data/score/step_scores.parquet"),
        args.tasks,
        args.out,
        sidecache.root(),
    )
    held = audition.hold(settings, places, args.workers, args.pilot)
    voice.lines([*held.lines, f"{held.folder / 'README.md'} has the tables"])
    voice.data({"lines": held.lines, "folder": held.folder, "result": held.result})


def _setup(_: argparse.Namespace, voice: Voice) -> None:
    from stepsift import tracking

    uri = tracking.setup(params.load().tracking)
    voice.lines([f"MLflow keeps its runs in {uri}"])
    voice.data({"tracking_uri": uri})
