"""The command line of an engine, as a pure function of the machine's settings and of what surrounds the stage."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stepsift.container.machine import Machine

HOME = "/tmp/home"
"""Where any user may write in the image; see the Dockerfile."""
_PREFIXES = ("DVC_", "HF_", "MLFLOW_", "STEPSIFT_")
_NAMES = {
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
}
_PROXIES = {"http_proxy", "https_proxy", "no_proxy"}


@dataclass(frozen=True)
class Place:
    """What a stage finds around it; all paths are absolute and are the same inside."""

    repo: Path
    """The working folder: the repository's root."""
    folders: tuple[Path, ...]
    """What else is mounted; a folder below another one is mounted with that."""
    hf_home: Path
    uid: int
    gid: int


def engine_command(
    machine: Machine, place: Place, image: str, names: Iterable[str], given: Mapping[str, str]
) -> list[str]:
    """The engine's words up to and including the image's name.

    `names` are the variables of the caller's environment: those that a stage may need are handed on by name, so that
    no value (a token) stands in a list of processes. `given` are set to the values that it has.
    """
    words = [machine.engine, "run", "--rm", "--init", "--pull=never", f"--network={machine.network}"]
    words += [f"--shm-size={machine.shm_size}", f"--workdir={place.repo}"]
    # A rootless podman maps its user to root inside; what the stage writes would then be owned by root in there.
    words += ["--userns=keep-id"] if machine.engine == "podman" and place.uid else []
    words += [f"--user={place.uid}:{place.gid}"]
    words += [
        f"--mount=type=bind,source={f},target={f}" for f in outermost([place.repo, place.hf_home, *place.folders])
    ]
    if machine.gpus:
        words += ["--gpus=all"] if machine.engine == "docker" else ["--device=nvidia.com/gpu=all"]
    own = {"HOME": HOME, "HF_HOME": str(place.hf_home), "PYTHONPATH": str(place.repo / "src"), **given}
    words += [f"--env={name}" for name in sorted(names) if handed_on(name) and name not in own]
    words += [f"--env={name}={value}" for name, value in own.items()]
    return [*words, image]


def handed_on(name: str) -> bool:
    """Whether an environment variable of the caller is one that a stage may need."""
    return name.startswith(_PREFIXES) or name in _NAMES or name.lower() in _PROXIES


def outermost(folders: Iterable[Path]) -> list[Path]:
    """The folders that lie below no other of them, sorted, each once."""
    once = set(folders)
    return sorted(f for f in once if once.isdisjoint(f.parents))
