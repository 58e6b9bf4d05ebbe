"""The command `tune`: which batches score fastest on this machine."""

import argparse
from pathlib import Path

from stepsift import params
from stepsift.commands import SOURCES, arguments
from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift tune`."""
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder with trace files")
    seconds = "how long to measure, once the sources are read and the student is loaded (default: %(default)s)"
    parser.add_argument("--seconds", type=arguments.positive, default=60.0, metavar="S", help=seconds)


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print the speed of each setting, and the lines for params.yaml."""
    settings = params.load()
    from stepsift.commands.tuning import propose
    from stepsift.ingest.run import survey

    lines = propose(settings, survey(args.sources, settings.ingest).sample, args.seconds)
    voice.lines(lines)
    voice.data({"lines": lines})
