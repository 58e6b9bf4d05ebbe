"""Start a stage where the machine's settings say, in the place of this process.

    python -P -m stepsift.container.launch score|train ARGUMENT ..

Nothing stays between DVC and the stage: signals, output and exit code are those of the script, or of the engine, whose
client hands signals on to the container and ends with the exit code from inside.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stepsift.container.command import Place, engine_command
from stepsift.container.image import image_digest, image_name
from stepsift.container.machine import ContainerError, Machine, load, machine_file
from stepsift.core import console
from stepsift.tracking.provenance import VARIABLES, git_tags

STAGES = ("score", "train")
"""Those that may run in a container."""


def main() -> None:
    """Become the stage that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="of the stage's script")
    args = parser.parse_args()
    start(args.stage, args.arguments)


def start(stage: str, arguments: Sequence[str]) -> None:
    """Become `stages/STAGE.py` in the working folder, the repository's root, with these arguments.

    Raises ContainerError where the settings are wrong, or engine or image are missing; else it does not return.
    """
    words = [f"stages/{stage}.py", *arguments]
    machine = load(machine_file())
    if machine.engine == "host":
        os.execv(sys.executable, [sys.executable, "-P", *words])
    repo = Path.cwd()
    given = {VARIABLES["image.digest"]: image_digest(machine, repo), **git_variables()}
    place = surroundings(machine, repo)
    inside = ["python", "-P", *(["-m", "stepsift.container.inside"] if machine.gpus else []), *words]
    command = engine_command(machine, place, image_name(repo, machine.target), os.environ, given)
    os.execvp(command[0], [*command, *inside])


def surroundings(machine: Machine, repo: Path) -> Place:
    """What a stage reads and writes beyond the repository. Raises ContainerError if a folder of `mounts` is missing.

    Folders that a stage would make are made here: docker would make them as root.
    """
    if missing := [m for m in machine.mounts if not Path(m).exists()]:
        raise ContainerError(
            f"mounts in {machine_file()} names {', '.join(missing)}, which is not there; make or remove it"
        )
    # Where huggingface_hub itself looks; a hub cache may be named apart from it.
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    hf_home = Path(os.environ.get("HF_HOME") or caches / "huggingface").absolute()
    named = [os.environ.get(name) for name in ("HF_HUB_CACHE", "STEPSIFT_CACHE")]
    made = [hf_home, *(Path(folder).absolute() for folder in named if folder)]
    for folder in made:
        folder.mkdir(parents=True, exist_ok=True)
    paths = [_said(repo, sys.executable, "-m", "dvc", "cache", "dir"), _git(repo, "rev-parse", "--git-common-dir")]
    # Set by DVC: under `dvc exp run --temp` it is the real repository, where MLflow's database lies.
    paths += [os.environ.get("DVC_ROOT", "")]
    there = [folder for text in paths if text and (folder := repo / text).is_dir()]
    # Links of the workspace may lead to where the cache really is.
    folders = {*made, *there, *(f.resolve() for f in there), *map(Path, machine.mounts)}
    return Place(repo, tuple(sorted(folders)), hf_home, os.getuid(), os.getgid())


def git_variables() -> dict[str, str]:
    """Commit, and whether anything but what stages write differs from it, for a stage that has no git to ask."""
    return {VARIABLES[tag]: value for tag, value in git_tags(["metrics"]).items()}


def _git(repo: Path, *arguments: str) -> str:
    return _said(repo, "git", *arguments) if shutil.which("git") else ""


def _said(repo: Path, *command: str) -> str:
    """Standard output of a command, empty where it fails."""
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    console.run(main)
