"""The command `add`: check files of traces, and put them into the pool."""

import argparse
from pathlib import Path
from typing import get_args

from stepsift import params
from stepsift.commands import PARAMS, SOURCES
from stepsift.core.console import Voice
from stepsift.core.errors import SourceError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift add`."""
    what = "files, or folders of files, of traces in any layout that stepsift reads"
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help=what)
    teacher = "who wrote all of them (default: whom the rows name, else the file's name)"
    parser.add_argument("--teacher", metavar="NAME", help=teacher)
    layout = "layout of the rows (default: as params.yaml says, there auto)"
    parser.add_argument("--layout", choices=get_args(params.Layout), help=layout)
    parser.add_argument("--licence", metavar="NAME", help="licence of rows that name none, e.g. MIT")
    parser.add_argument(
        "--name", metavar="NAME", help="name without ending (default: the teacher, else the file's or folder's)"
    )
    add_place(parser)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Arguments of `add` and `remove`."""
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder with trace files")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Say what would be read of files and folders, and add them."""
    settings = params.load(PARAMS).ingest
    from stepsift.sources.add import Origin, plan_addition

    if args.name and len(args.paths) > 1:
        raise SourceError(f"--name names one file or folder, and there are {len(args.paths)}; add them one by one")
    about = {key: getattr(args, key) for key in ("layout", "teacher", "licence") if getattr(args, key)}
    origins = [Origin(path, params.Rule(**about), args.name) for path in args.paths]
    plan = plan_addition(origins, args.sources, settings)
    voice.lines(plan.lines())
    commands = [] if args.dry_run else plan.carry_out()
    voice.lines(f"next        {command}" for command in commands)
    voice.data(plan.as_json() | {"added": not args.dry_run, "next": commands})
