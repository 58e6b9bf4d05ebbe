"""The command `recurate`: run the pipeline on what is committed, and propose its results as a branch.

CI calls it; so may anybody, in a clone without changes.
"""

import argparse
from pathlib import Path

from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift recurate`."""
    parser.add_argument("--remote", default="origin", help="git's remote (default: %(default)s)")
    text = "where the text of the proposal is written (default: %(default)s)"
    parser.add_argument("--text", type=Path, default=Path(".stepsift/recurate.md"), metavar="FILE", help=text)
    parser.add_argument("--pull-request", action="store_true", help="open or update a pull request by `gh`")
    parser.add_argument("--base", default="main", help="branch that a pull request is for (default: %(default)s)")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Pull, check, warm the caches, run, push, and only then commit and propose."""
    from stepsift.recurate.run import Order, recurate

    order = Order(args.remote, args.text, args.base if args.pull_request else None)
    proposed = recurate(order, lambda line: voice.lines([f"recurate: {line}"]))
    voice.data({"branch": proposed and proposed.branch, "commit": proposed and proposed.commit, "text": args.text})
