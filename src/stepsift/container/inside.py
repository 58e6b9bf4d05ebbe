"""First thing in a container that was given GPUs: is one visible? Then become the stage's script.

podman 4.3 ignores `--gpus` in silence and a driver may be missing; a stage would then score for days on the processor.
"""

import os
import sys

from stepsift.container.machine import ContainerError
from stepsift.core import console


def main() -> None:
    """Become the script that the arguments name. Raises ContainerError if torch sees no GPU."""
    require_gpu()
    os.execv(sys.executable, [sys.executable, "-P", *sys.argv[1:]])


def require_gpu() -> None:
    """Raises ContainerError if torch sees no GPU."""
    import torch

    if torch.cuda.is_available():
        return
    build = "" if torch.version.cuda else ", and torch in this image is a build without CUDA (set target: cuda)"
    raise ContainerError(
        f"gpus is true in machine.yaml, and no GPU is visible in the container{build}; see that the machine's driver "
        "and NVIDIA's container toolkit are installed (podman also needs: nvidia-ctk cdi generate), or set gpus: false"
    )


if __name__ == "__main__":
    console.run(main)
