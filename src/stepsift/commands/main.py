"""The `stepsift` command: the list of commands; each has a file here with its arguments and what it does."""

import argparse
import logging
import os
import sys
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from stepsift import __version__
from stepsift.commands import PARAMS
from stepsift.core import console
from stepsift.core.console import Voice
from stepsift.core.errors import StepsiftError

COMMANDS = {
    "check": "validate parameters, sources and student, and print the plan",
    "preview": "how files of traces would be read, and the rule that would mend it",
    "add": "check files of traces, and add them to the sources, under DVC",
    "remove": "take a file that was added out of the sources",
    "params": "list every key of params.yaml, with default, unit and limits",
    "metrics": "list the metrics, with direction and source",
    "score": "score any file of traces, without params.yaml or DVC",
    "splitters": "compare splitters on the same traces: steps, window share, rankings and choices",
    "rank": "rank the teachers on a sample of prompts, before all are scored",
    "tune": "measure which batches score fastest here, and propose settings",
    "cache": "show what is kept of scores, models, evaluations, auditions and GGUF students",
    "why": "where a trace comes from, and why it was chosen or not",
    "verify": "check every link from the sources to the exports",
    "attest": "write the provenance of a curated set as an in-toto statement, signed with a key",
    "diff": "what changed in the curated sets between two revisions, and why",
    "report": "the report's page once more, with what changed since a commit",
    "audition": "train a student by each metric, teacher and control, and say which data made it better",
    "recurate": "run the pipeline on what is committed, and propose its results as a branch",
    "setup": "create the MLflow database that params.yaml names",
    "ui": "serve MLflow's pages on the runs of this repository",
}
"""Command to its help. `commands/NAME.py` has `add_arguments(parser)` and `run(args, voice)`."""


ANYWHERE = ("metrics", "preview", "score", "splitters")
"""Commands that need no repository of a pipeline."""


class _Parser(argparse.ArgumentParser):
    """A wrong call is answered in JSON, too."""

    def error(self, message: str) -> NoReturn:
        console.answer_problems([f"{self.prog}: {message}"])
        super().error(message)


def main() -> None:
    """Entry point of the console script; exits 1 with one sentence per problem, 2 for a wrong call."""
    console.run(_main)


def build_parser(names: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """All commands; only those of `names` are imported and have their options."""
    parser = _Parser(prog="stepsift", description="Curate reasoning-distillation data for one student.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name in names:
            module = import_module(f"stepsift.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
            _add_voice(command)
    return parser


def _add_voice(parser: argparse.ArgumentParser) -> None:
    """Options that every command has, before or after the name of an action."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON, on standard output"
    )
    quiet = "say nothing but what is wrong"
    how.add_argument("--quiet", action="store_true", default=argparse.SUPPRESS, help=quiet)
    for actions in parser._actions:
        if isinstance(actions, argparse._SubParsersAction):
            for action in actions.choices.values():
                _add_voice(action)


def _main() -> None:
    args = build_parser(sys.argv[1:]).parse_args()
    voice = Voice("json" if vars(args).get("json") else "quiet" if vars(args).get("quiet") else "lines")
    if voice.form == "quiet":
        logging.getLogger("stepsift").setLevel(logging.WARNING)
    if args.command not in ANYWHERE:
        _require_root(args.command)
    args.run(args, voice)


def _require_root(command: str) -> None:
    """Raise StepsiftError in a folder below that of params.yaml: a command's paths are relative to that one."""
    if PARAMS.exists():
        return
    here = Path.cwd()
    root = next((folder for folder in here.parents if (folder / PARAMS).is_file()), None)
    if root is not None:
        up = os.path.relpath(root, here)
        raise StepsiftError(
            f"stepsift {command} works in the folder of {PARAMS}, and this is {here.relative_to(root)} below it; run "
            f"'cd {up}' first"
        )
