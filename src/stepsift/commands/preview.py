"""The command `preview`: how files of traces would be read, without adding them."""

import argparse
from pathlib import Path

from stepsift import params
from stepsift.commands import PARAMS, SOURCES
from stepsift.commands.add import add_reading, find
from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift preview`."""
    what = "files or folders of traces, or sets of the hub: hub:OWNER/NAME@REVISION"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=what)
    add_reading(parser)
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder with trace files")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print what would be read of each, and the rule that would mend it."""
    settings = params.load(PARAMS).ingest if PARAMS.exists() else params.Ingest()
    from stepsift.sources.preview import preview_of

    previews = []
    for origin in find(args, voice):
        previews.append(preview_of(origin, args.sources, settings))
        voice.lines(previews[-1].lines())
    voice.data({"previews": [p.as_json() for p in previews]})
