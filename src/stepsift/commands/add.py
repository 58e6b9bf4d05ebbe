"""The command `add`: check files of traces, and put them into the pool."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from stepsift import params
from stepsift.commands import PARAMS, SOURCES, arguments
from stepsift.core.console import Voice

if TYPE_CHECKING:
    from stepsift.sources.origin import Origin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift add`."""
    what = "files or folders of traces in any layout that stepsift reads, or sets of the hub: hub:OWNER/NAME@REVISION"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=what)
    add_reading(parser)
    parser.add_argument(
        "--licence", type=arguments.name, metavar="NAME", help="licence of rows that name none, e.g. MIT"
    )
    parser.add_argument(
        "--name",
        type=arguments.name,
        metavar="NAME",
        help="name without ending (default: the teacher, else the file's or folder's)",
    )
    add_place(parser)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Options that say how files are read."""
    teacher = "who wrote all of them (default: whom the rows name, else the file's name)"
    parser.add_argument("--teacher", type=arguments.name, metavar="NAME", help=teacher)
    layout = "layout of the rows (default: as params.yaml says, there auto)"
    parser.add_argument("--layout", choices=get_args(params.Layout), help=layout)
    rules = "a rule file that says how they are read (default: NAME.rule.yaml beside NAME)"
    parser.add_argument("--rules", type=Path, metavar="FILE", help=rules)
    files = "of a folder or a set of the hub, only files whose path fits one of these, as in 'data/*.parquet'"
    parser.add_argument("--files", nargs="+", default=(), metavar="PATTERN", help=files)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Arguments of `add` and `remove`."""
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder with trace files")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def find(args: argparse.Namespace, voice: Voice) -> "list[Origin]":
    """What the command line names, with what it says of it."""
    from stepsift.sources.origin import find_origins
    from stepsift.sources.rules import over

    options = {key: getattr(args, key) for key in ("layout", "teacher", "licence") if vars(args).get(key)}
    rule = over(params.load_rule(args.rules) if args.rules else params.Rule(), params.Rule(**options))
    origins = find_origins(args.paths, rule, vars(args).get("name"), tuple(args.files), voice.form != "quiet")
    voice.lines(line for origin in origins for line in origin.lines)
    return origins


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Say what would be read of files and folders, and add them."""
    settings = params.load(PARAMS).ingest
    from stepsift.sources.add import plan_addition

    origins = find(args, voice)
    plan = plan_addition(origins, args.sources, settings)
    voice.lines(plan.lines())
    commands = [] if args.dry_run else plan.carry_out()
    voice.lines(f"next        {command}" for command in commands)
    voice.data(plan.as_json() | {"added": not args.dry_run, "next": commands})
