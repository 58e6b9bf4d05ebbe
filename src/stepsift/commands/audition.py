"""The command `audition`: which data make this student better, measured by training."""

import argparse
from pathlib import Path

from stepsift import params
from stepsift.commands import TASKS, arguments
from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift audition`."""
    workers = "students trained side by side, each on its own GPU or share of the processor (default: %(default)s)"
    parser.add_argument("--workers", type=arguments.count, default=1, metavar="N", help=workers)
    pilot = "try one seed on this share of the prompts, and say what the whole would cost"
    parser.add_argument("--pilot", type=arguments.share, metavar="SHARE", help=pilot)
    parser.add_argument("--out", type=Path, default=Path("auditions"), help="folder of all auditions")
    parser.add_argument("--tasks", type=Path, default=TASKS, help="folder with local evaluation tasks")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Run the audition that params.yaml describes, and print what it allows to be said."""
    settings = params.load()
    from stepsift import audition, sidecache
    from stepsift.core import tables

    places = audition.AuditionPlaces(
        Path("data/ingest") / tables.PROMPTS.file,
        Path("data/ingest") / tables.TRACES.file,
        Path("data/score") / tables.STEP_SCORES.file,
        Path("data/segment") / tables.STEPS.file,
        args.tasks,
        args.out,
        sidecache.root(),
    )
    outcome = audition.run_audition(settings, places, args.workers, args.pilot)
    voice.lines([*outcome.lines, f"{outcome.folder / 'README.md'} has the tables"])
    voice.data({"lines": outcome.lines, "folder": outcome.folder, "result": outcome.result})
