"""The command `diff`: what changed in the curated sets between two revisions."""

import argparse

from stepsift.commands import LOCK
from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift diff`."""
    parser.add_argument("before", metavar="REV1", help="branch, tag or commit whose pipeline was run")
    parser.add_argument("after", metavar="REV2", nargs="?", help="another one (default: the working folder)")
    parser.add_argument("--selector", metavar="NAME", help="one curated set (default: all)")
    parser.add_argument("--markdown", action="store_true", help="for a pull request")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print what changed."""
    from stepsift.lineage import render
    from stepsift.lineage.diff import compare
    from stepsift.lineage.snapshot import of_folder, of_revision

    after = of_folder(LOCK) if args.after is None else of_revision(args.after)
    changes = compare(of_revision(args.before), after, args.selector)
    voice.lines(render.markdown(changes) if args.markdown else render.terminal(changes))
    voice.data(changes.as_json())
