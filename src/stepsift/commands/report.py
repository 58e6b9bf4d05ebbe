"""The command `report`: the report's page once more, with what changed since a revision in its place."""

import argparse
from pathlib import Path

from stepsift.commands import LOCK
from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift report`."""
    parser.add_argument(
        "--since", metavar="REV", help="branch, tag or commit to compare with (default: the last commit)"
    )
    page = "the page that stage report wrote (default: %(default)s)"
    parser.add_argument("--page", type=Path, default=Path("report/index.html"), metavar="FILE", help=page)
    parser.add_argument(
        "--out", type=Path, default=Path("report/since.html"), metavar="FILE", help="default: %(default)s"
    )


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Write the page."""
    from stepsift.core import disk
    from stepsift.lineage.since import with_changes

    disk.write_text(with_changes(args.page, args.since, LOCK), args.out)
    voice.lines([f"{args.out}: the report, with what changed since {args.since or 'the last commit'}"])
    voice.data({"page": str(args.out)})
