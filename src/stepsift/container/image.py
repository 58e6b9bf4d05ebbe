"""The image: its name, whether it is there, and building it (`make image`)."""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stepsift.container.machine import ContainerError, Machine, load, machine_file
from stepsift.core import console
from stepsift.core.finding import Finding

INGREDIENTS = ("Dockerfile", "requirements/lock.txt", "requirements/torch.txt", "scripts/check_image.py")
"""All that an image is made of, below the repository's root."""
_ABSENT = re.compile("no such (image|object)|not known|failed to find|unable to find", re.IGNORECASE)


class MissingImageError(ContainerError):
    """The engine does not have the image of these ingredients."""


def image_name(repo: Path, target: str) -> str:
    """`stepsift:<target>-<12 digits>`, the digits from the image's ingredients.

    A commit with another lock file therefore never runs in an image of the former one. Raises ContainerError where an
    ingredient is missing.
    """
    if missing := [name for name in INGREDIENTS if not (repo / name).is_file()]:
        raise ContainerError(
            f"{repo} has no {', '.join(missing)}, of which the image is made; go to the repository's root"
        )
    digest = hashlib.sha256()
    for name in INGREDIENTS:
        content = (repo / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return f"stepsift:{target}-{digest.hexdigest()[:12]}"


def image_digest(machine: Machine, repo: Path) -> str:
    """The digest that the engine gives the image; it differs from build to build.

    Raises MissingImageError where it has none, and ContainerError where there is no engine or it does not answer.
    """
    engine, name = machine.engine, image_name(repo, machine.target)
    if shutil.which(engine) is None:
        raise ContainerError(
            f"engine is {engine} in {machine_file()}, and no {engine} is in PATH; install it or set host"
        )
    inspection = subprocess.run(
        [engine, "image", "inspect", "--format", "{{.Id}}", name], capture_output=True, text=True, check=False
    )
    if inspection.returncode == 0:
        return inspection.stdout.strip()
    if _ABSENT.search(inspection.stderr):
        raise MissingImageError(
            f"{engine} has no image {name}, the one of this Dockerfile and lock file; "
            f"build it: make image ENGINE={engine} TARGET={machine.target}"
        )
    last_line = " ".join((inspection.stderr.strip().splitlines() or ["no message"])[-1].split())
    raise ContainerError(f"{engine} does not answer ({last_line}); start it, or set engine: host in {machine_file()}")


def check_machine(repo: Path) -> Finding:
    """For `stepsift check`: where score and train run, and what stands in the way."""
    try:
        machine = load(machine_file())
        if machine.engine == "host":
            return Finding(["machine     score and train run on this machine itself"])
        digest = image_digest(machine, repo)
    except ContainerError as e:
        return Finding(problems=str(e).splitlines())
    name = image_name(repo, machine.target)
    gpus = "all GPUs" if machine.gpus else "no GPU"
    return Finding([f"machine     score and train run in {machine.engine} with {gpus}: {name} ({digest[:19]})"])


def main() -> None:
    """Build the image, and note its digest in `.stepsift/image-<target>.txt`, for information.

    Without arguments: the image that this machine's settings ask for, unless there is none or it is there.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("engine", nargs="?", choices=["docker", "podman"])
    parser.add_argument("target", nargs="?", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="build arguments")
    args = parser.parse_args()
    repo = Path.cwd()
    if args.engine:
        build(Machine(engine=args.engine, target=args.target), repo, args.arguments)
        return
    machine = load(machine_file())
    if machine.engine == "host":
        sys.stdout.write("score and train run on this machine itself: no image is needed\n")
        return
    try:
        sys.stdout.write(f"{image_name(repo, machine.target)} is there: {image_digest(machine, repo)}\n")
    except MissingImageError:
        build(machine, repo, [])


def build(machine: Machine, repo: Path, arguments: Sequence[str]) -> None:
    """Build the image of `machine` with build arguments NAME=VALUE. Raises ContainerError where that fails."""
    engine, name = machine.engine, image_name(repo, machine.target)
    if shutil.which(engine) is None:
        raise ContainerError(f"no {engine} is in PATH; install it, or name the other: make image ENGINE=podman")
    words = [engine, "build", "--target", machine.target, "--tag", name]
    words += [w for argument in arguments for w in ("--build-arg", argument)]
    if code := subprocess.run([*words, str(repo)], check=False).returncode:
        raise ContainerError(f"{engine} could not build {name} (exit code {code}); its last lines say why")
    note = repo / ".stepsift" / f"image-{machine.target}.txt"
    note.parent.mkdir(exist_ok=True)
    digest = image_digest(machine, repo)
    note.write_text(f"{name} {digest}\n", encoding="utf-8")
    sys.stdout.write(f"{name} is built: {digest}\n")


if __name__ == "__main__":
    console.run(main)
