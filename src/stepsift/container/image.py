"""The image: its name, whether it is there, and building it (`make image`)."""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from stepsift import console
from stepsift.container.machine import ContainerError, Machine, load, machine_file

INGREDIENTS = ("Dockerfile", "requirements/lock.txt", "requirements/torch.txt", "scripts/check_image.py")
"""All that an image is made of, below the repository's root."""
_ABSENT = re.compile("no such (image|object)|not known|failed to find|unable to find", re.IGNORECASE)


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

    Raises ContainerError where there is no engine, no image, or the engine does not answer.
    """
    engine, name = machine.engine, image_name(repo, machine.target)
    if shutil.which(engine) is None:
        raise ContainerError(
            f"engine is {engine} in {machine_file()}, and no {engine} is in PATH; install it or set host"
        )
    asked = subprocess.run(
        [engine, "image", "inspect", "--format", "{{.Id}}", name], capture_output=True, text=True, check=False
    )
    if asked.returncode == 0:
        return asked.stdout.strip()
    if _ABSENT.search(asked.stderr):
        raise ContainerError(
            f"{engine} has no image {name}, the one of this Dockerfile and lock file; "
            f"build it: make image ENGINE={engine} TARGET={machine.target}"
        )
    said = " ".join((asked.stderr.strip().splitlines() or ["no message"])[-1].split())
    raise ContainerError(f"{engine} does not answer ({said}); start it, or set engine: host in {machine_file()}")


def machine_lines(repo: Path) -> tuple[list[str], list[str]]:
    """For `stepsift check`: a line on where score and train run, and what stands in the way."""
    try:
        machine = load(machine_file())
        if machine.engine == "host":
            return ["machine     score and train run on this machine itself"], []
        digest = image_digest(machine, repo)
    except ContainerError as e:
        return [], str(e).splitlines()
    name = image_name(repo, machine.target)
    gpus = "all GPUs" if machine.gpus else "no GPU"
    return [f"machine     score and train run in {machine.engine} with {gpus}: {name} ({digest[:19]})"], []


def main() -> None:
    """Build the image and note its digest in `.stepsift/image-<target>.txt`, for information."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("engine", choices=["docker", "podman"])
    parser.add_argument("target", choices=["cpu", "cuda"])
    parser.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="build arguments")
    args = parser.parse_args()
    machine, repo = Machine(engine=args.engine, target=args.target), Path.cwd()
    if shutil.which(args.engine) is None:
        raise ContainerError(f"no {args.engine} is in PATH; install it, or name the other: make image ENGINE=podman")
    name = image_name(repo, args.target)
    words = [args.engine, "build", "--target", args.target, "--tag", name]
    words += [w for argument in args.arguments for w in ("--build-arg", argument)]
    if code := subprocess.run([*words, "."], check=False).returncode:
        raise ContainerError(f"{args.engine} could not build {name} (exit code {code}); its last lines say why")
    note = repo / ".stepsift" / f"image-{args.target}.txt"
    note.parent.mkdir(exist_ok=True)
    digest = image_digest(machine, repo)
    note.write_text(f"{name} {digest}\n", encoding="utf-8")
    sys.stdout.write(f"{name} is built: {digest}\n")


if __name__ == "__main__":
    console.run(main)
