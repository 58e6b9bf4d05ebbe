"""The `stepsift` command."""

import argparse
import subprocess
import sys
from pathlib import Path

from stepsift import __version__, console, params
from stepsift.errors import StepsiftError


def main() -> None:
    """Entry point of the console script; exits 1 with one sentence a problem, 2 for a wrong call."""
    console.run(_main)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="stepsift", description="Curate reasoning-distillation data for one student.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="validate parameters, sources and student, and print the plan")
    check.add_argument("--sources", type=Path, default=Path("data/sources"), help="folder with trace files")
    check.add_argument("--tasks", type=Path, default=Path("data/tasks"), help="folder with local evaluation tasks")
    check.add_argument("--student", action="store_true", help="also score two traces twice, and compare")
    commands.add_parser("metrics", help="list the metrics, with direction and source")
    commands.add_parser("setup", help="create the MLflow database that params.yaml names")
    commands.add_parser("ui", help="open MLflow on what params.yaml names")
    args = parser.parse_args()
    {"check": _check, "metrics": _metrics, "setup": _setup, "ui": _ui}[args.command](args)


def _check(args: argparse.Namespace) -> None:
    settings = params.load()
    # After the parameters: what follows takes seconds to import.
    from stepsift.check import check, check_student

    report = check(settings, args.sources, args.tasks)
    for line in report.plan:
        sys.stdout.write(line + "\n")
    if problems := params.missing_for_dvc() + report.problems:
        raise StepsiftError("\n".join(problems))
    if args.student:
        for line in check_student(settings, report.sample):
            sys.stdout.write(line + "\n")


def _metrics(_: argparse.Namespace) -> None:
    from stepsift.metrics import all_metrics

    for name, metric in all_metrics().items():
        direction = {"high": "higher is better", "low": "lower is better", None: "no direction"}[metric.better]
        doc = sys.modules[f"stepsift.metrics.{name}"].__doc__ or ""
        source = " ".join(doc.rpartition("Source: ")[2].split())
        sys.stdout.write(f"{name:12} {direction:18} {doc.splitlines()[0]} Source: {source}\n")


def _setup(_: argparse.Namespace) -> None:
    from stepsift import tracking

    sys.stdout.write(f"MLflow keeps its runs in {tracking.setup(params.load().tracking)}\n")


def _ui(_: argparse.Namespace) -> None:
    from stepsift import tracking

    uri = tracking.setup(params.load().tracking)
    sys.stdout.write(f"MLflow on {uri}; stop it with Ctrl-C\n")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    raise SystemExit(subprocess.run(command, check=False).returncode)
