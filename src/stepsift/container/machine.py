"""The settings of a machine: one file of its user, outside of every repository."""

import os
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stepsift.core import bounded_yaml
from stepsift.core.errors import StepsiftError
from stepsift.core.text import error_line

Target = Literal["cpu", "cuda"]


class ContainerError(StepsiftError, RuntimeError):
    """The settings of the machine are wrong, or its engine cannot run what was asked for."""


class Machine(BaseModel):
    """What `machine.yaml` may hold; without a file, stages run on the machine itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["host", "docker", "podman"] = "host"
    """What runs the stages score and train."""
    target: Target = "cpu"
    """Which image: that of the Dockerfile's target `cpu` or `cuda`."""
    gpus: bool = False
    """Pass all GPUs into the container; the stage stops if none is visible in there."""
    shm_size: str = Field(default="8g", pattern=r"^[1-9][0-9]*[kmg]$")
    """Shared memory of the container, a number with k, m or g (KiB, MiB, GiB): workers hand tensors over in it."""
    network: Literal["host", "none"] = "host"
    """`host`: an MLflow server on localhost is reached as from the machine. `none`: nothing is reached."""
    mounts: tuple[str, ...] = ()
    """More folders that are mounted, at their own absolute paths: a student's, for instance."""

    @field_validator("mounts")
    @classmethod
    def _absolute(cls, mounts: tuple[str, ...]) -> tuple[str, ...]:
        for mount in mounts:
            if not Path(mount).is_absolute() or "," in mount:
                raise ValueError(f"'{mount}' must be an absolute path without a comma")
        return mounts


def machine_file() -> Path:
    """`stepsift/machine.yaml` in the user's folder of settings: $XDG_CONFIG_HOME, or ~/.config."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "stepsift/machine.yaml"


def load(path: Path) -> Machine:
    """Read the settings, those of a missing file being the defaults. Raises ContainerError, one line per problem."""
    try:
        content = bounded_yaml.load(path)
    except FileNotFoundError:
        return Machine()
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as e:
        raise ContainerError(f"{path} cannot be read as YAML: {error_line(e)}") from e
    try:
        return Machine.model_validate({} if content is None else content)
    except ValidationError as e:
        problems = [f"{path}: {'.'.join(map(str, p['loc'])) or 'the file'}: {p['msg']}" for p in e.errors()]
        raise ContainerError("\n".join(problems)) from e
