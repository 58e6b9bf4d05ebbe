"""The commands `add` and `remove`."""

import argparse
from pathlib import Path
from typing import get_args

from stepsift import params
from stepsift.core.console import Voice

PARAMS = Path("params.yaml")


def add_add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift add`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="traces in any layout that stepsift reads")
    teacher = "who wrote all of them (default: whom the rows name, else the file's name)"
    parser.add_argument("--teacher", metavar="NAME", help=teacher)
    layout = "layout of the rows (default: as params.yaml says, there auto)"
    parser.add_argument("--layout", choices=get_args(params.Layout), help=layout)
    parser.add_argument("--licence", metavar="NAME", help="licence of rows that name none, e.g. MIT")
    parser.add_argument(
        "--name", metavar="NAME", help="file name without ending (default: the teacher, else the file's)"
    )
    _add_both(parser)


def add_remove(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift remove`."""
    parser.add_argument("what", metavar="NAME", help="file, its name, or its teacher")
    _add_both(parser)


def _add_both(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", type=Path, default=Path("data/sources"), help="folder with trace files")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def run_add(args: argparse.Namespace, voice: Voice) -> None:
    """Say what would be read of a file, and add it."""
    from stepsift.sources.add import plan_addition

    plan = plan_addition(args.file, args.sources, PARAMS, args.teacher, args.layout, args.licence, args.name)
    voice.lines(plan.lines())
    commands = [] if args.dry_run else plan.carry_out()
    voice.lines(f"next        {command}" for command in commands)
    voice.data(
        plan.look.as_json() | {"target": plan.target, "rule": plan.rule, "added": not args.dry_run, "next": commands}
    )


def run_remove(args: argparse.Namespace, voice: Voice) -> None:
    """Take a file that was added out of the pool."""
    from stepsift.sources.remove import plan_removal

    plan = plan_removal(args.what, args.sources, PARAMS)
    voice.lines(plan.lines())
    commands = [] if args.dry_run else plan.carry_out()
    voice.lines(f"next        {command}" for command in commands)
    voice.data({"target": plan.target, "rule": plan.rule, "removed": not args.dry_run, "next": commands})
