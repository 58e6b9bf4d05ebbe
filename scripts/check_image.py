"""Run while the image is built: is what the lock files name installed, in these versions, and can it be imported?"""

import argparse
import importlib
import sys
from importlib import metadata
from pathlib import Path

MODULES = [
    *("accelerate", "datasets", "dvc.api", "filelock", "lm_eval", "math_verify", "mlflow", "numpy", "peft", "polars"),
    *("pyarrow", "pydantic", "scipy", "tokenizers", "torch", "transformers", "trl", "yaml"),
]
"""What the stages score and train import, at some depth."""


def main() -> None:
    """Exit 1 with one sentence per problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locks", type=Path, nargs="+", metavar="LOCK", help="files of lines NAME==VERSION")
    parser.add_argument("--cuda", action="store_true", help="torch must be a build with CUDA")
    args = parser.parse_args()
    problems = [p for lock in args.locks for p in wrong_versions(lock.read_text(encoding="utf-8"))]
    for module in MODULES:
        try:
            importlib.import_module(module)
        except Exception as e:  # whatever a library raises, the image is of no use
            problems.append(f"{module} cannot be imported: {type(e).__name__}: {e}")
    if args.cuda and not problems and not importlib.import_module("torch").version.cuda:
        problems.append("torch is a build without CUDA; name an index that has one: make image TORCH_INDEX=...")
    if problems:
        raise SystemExit("\n".join(problems))
    sys.stdout.write("all locked versions are installed, and what the stages import can be imported\n")


def wrong_versions(lock: str) -> list[str]:
    """A sentence for each line NAME==VERSION of a lock file whose package is missing or has another version.

    The part of an installed version behind `+` names a build (torch 2.13.0+cpu), which a lock file leaves open.
    """
    problems = []
    for line in lock.splitlines():
        name, pinned, version = line.partition("==")
        if not pinned or line.startswith("#"):
            continue
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            problems.append(f"{name} is not installed, the lock file has {version}")
            continue
        if installed.partition("+")[0] != version.partition("+")[0]:
            problems.append(f"{name} is {installed}, the lock file has {version}")
    return problems


if __name__ == "__main__":
    main()
