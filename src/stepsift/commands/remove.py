"""The command `remove`: take a file or folder that was added out of the pool."""

import argparse

from stepsift.commands.add import add_place
from stepsift.core.console import Voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift remove`."""
    parser.add_argument("what", metavar="NAME", help="file or folder, its name, or its teacher")
    add_place(parser)


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Remove it with its `.dvc` file and its rule, and say what to do next."""
    from stepsift.sources.remove import plan_removal

    plan = plan_removal(args.what, args.sources)
    voice.lines(plan.lines())
    commands = [] if args.dry_run else plan.carry_out()
    voice.lines(f"next        {command}" for command in commands)
    voice.data(plan.as_json() | {"removed": not args.dry_run, "next": commands})
