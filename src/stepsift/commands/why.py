"""The command `why`: the story of a trace or a prompt, from its source file to the curated sets."""

import argparse

from stepsift.commands import LOCK
from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift why`."""
    what = "a trace or prompt id, at least 6 characters of its beginning, or FILE:LINE of the sources"
    parser.add_argument("id", metavar="ID", help=what)
    parser.add_argument("--selector", metavar="NAME", help="one curated set (default: all)")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print the story."""
    from stepsift.lineage.why import explain
    from stepsift.lineage.why_lines import lines_of

    story = explain(args.id, LOCK, args.selector)
    voice.lines(lines_of(story))
    voice.data(story.as_json())
