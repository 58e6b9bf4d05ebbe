"""One training in several processes: a job file, `accelerate launch` on it, and its curve as it grows."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from stepsift import params
from stepsift.core import bounded_yaml, tables
from stepsift.core.errors import TrainingError
from stepsift.core.finding import Finding
from stepsift.student import StudentFiles, StudentSource, pick_device
from stepsift.train.examples import Examples

if TYPE_CHECKING:  # it takes seconds to import
    from stepsift.train.callbacks import OnLog

JOB, IDS, ERROR, LIVE = "job.json", "ids.parquet", "error.txt", "live.jsonl"
_LOOK_S = 0.5
_GRACE_S = 10.0


def may_use_own_head(settings: params.Train) -> bool:
    """Whether students may be trained with `head.py`: on a CPU, without a launch, in mixed precision."""
    return settings.dtype == "mixed" and settings.launch is None and pick_device("auto") == "cpu"


@dataclass(frozen=True)
class Job:
    """One training: of which student, how, on what, and where it goes; `parent` is the process that waits for it.

    With `train.checkpoint_every` checkpoints go to the folder `checkpoints`, and training goes on from what is there.
    """

    source: StudentSource
    settings: params.Train
    examples: Examples
    seed: int
    out: Path
    checkpoints: Path | None = None
    parent: int = field(default_factory=os.getpid)

    def write(self, folder: Path) -> None:
        """Write it into the folder."""
        about = {
            "files": asdict(self.source.files) | {"folder": str(self.source.files.folder.resolve())},
            "settings": self.settings.model_dump(mode="json"),
            "student": self.source.settings.model_dump(mode="json"),
            "seed": self.seed,
            "rotation": self.examples.rotation,
            "out": str(self.out.resolve()),
            "checkpoints": None if self.checkpoints is None else str(self.checkpoints.resolve()),
            "parent": self.parent,
        }
        ids = self.examples.ids
        frame = {"prompt": [p for p, _ in ids], "completion": [c for _, c in ids], "labels": self.examples.labels}
        rows = pl.DataFrame(frame, schema=dict.fromkeys(frame, pl.List(pl.Int64)))
        weights = self.examples.weights or [None] * len(ids)
        rows.with_columns(pl.Series("weight", weights, dtype=pl.Float64)).write_parquet(folder / IDS)
        (folder / JOB).write_text(json.dumps(about), encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> "Job":
        """Read what `write` wrote."""
        about = json.loads((folder / JOB).read_text(encoding="utf-8"))
        frame = pl.read_parquet(folder / IDS)
        weights = None if frame["weight"].null_count() else tuple(frame["weight"])
        masked = None if frame["labels"].equals(frame["completion"]) else frame["labels"].to_list()
        kept = about["checkpoints"]
        files = StudentFiles(**about["files"] | {"folder": Path(about["files"]["folder"])})
        return Job(
            StudentSource(files, params.Student.model_validate(about["student"])),
            params.Train.model_validate(about["settings"]),
            Examples(
                frame.select("prompt", "completion").rows(),
                pl.DataFrame(schema=tables.REJECTED.schema),
                weights,
                masked,
                about["rotation"] and tuple(map(tuple, about["rotation"])),
            ),
            about["seed"],
            Path(about["out"]),
            None if kept is None else Path(kept),
            about["parent"],
        )


def configuration(path: str) -> str:
    """The text of a configuration of `accelerate launch`; raises TrainingError where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise TrainingError(
            f"train.launch is '{path}', which cannot be read ({getattr(e, 'strerror', None) or e}); name a "
            "configuration of accelerate launch, such as configs/accelerate/ddp.yaml"
        ) from None


def launch_settings(path: str) -> dict[str, Any]:
    """What a configuration of `accelerate launch` says, empty where that is no YAML mapping, of which accelerate says
    what is wrong; raises TrainingError where it cannot be read."""
    try:
        content = bounded_yaml.loads(configuration(path))
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}


def check_launch(settings: params.Train) -> None:
    """Raises TrainingError where `train.launch` cannot be read, or shares weights in a way in which something else that
    is asked for is not possible."""
    if settings.launch is None or launch_settings(settings.launch).get("distributed_type") != "DEEPSPEED":
        return
    if settings.lora is not None:
        raise TrainingError(
            f"train.lora cannot be merged under DeepSpeed, which train.launch ({settings.launch}) asks for; take "
            "configs/accelerate/fsdp.yaml"
        )
    if settings.early_stop is not None:
        raise TrainingError(
            f"train.early_stop cannot keep the best weights under DeepSpeed, which train.launch ({settings.launch}) "
            "asks for; set it to null, or take configs/accelerate/fsdp.yaml"
        )


def check_training(selectors: Sequence[str], settings: params.Train) -> Finding:
    """For `stepsift check`: how many students will be trained, and what would stop it after hours of scoring."""
    seeds = ", ".join(map(str, settings.seeds))
    n_students = len(selectors) * len(settings.seeds)
    lines = [f"students    {n_students} to train ({', '.join(selectors)}; seeds {seeds})"]
    try:
        check_launch(settings)
    except TrainingError as e:
        return Finding(lines, [str(e)])
    return Finding(lines)


def launch_training(job: Job, config: str, on_log: "OnLog | None") -> None:
    """Train in the processes that the configuration file asks for, and wait for them; `on_log` as in `fit_student`.

    Raises TrainingError as `check_launch` does, with the sentence of a process that failed, or with the launcher's last
    line.
    """
    check_launch(job.settings)
    with tempfile.TemporaryDirectory(prefix="stepsift-") as scratch:
        folder = Path(scratch)
        job.write(folder)
        command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config]
        command += ["-m", "stepsift.train.launched", str(folder)]
        with (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
            try:
                n_said = 0
                while process.poll() is None:
                    time.sleep(_LOOK_S)
                    n_said = _say(folder / LIVE, n_said, on_log)
                _say(folder / LIVE, n_said, on_log)
            finally:
                _end(process)
        if process.returncode:
            raise TrainingError(_reason(folder, process.returncode))


def _say(live: Path, n_said: int, on_log: "OnLog | None") -> int:
    """Hand on the updates after the first `n_said`; how many there are now. A line that is not whole yet waits."""
    if not live.is_file():
        return 0
    lines = live.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    for line in whole[n_said:]:
        values: dict[str, Any] = json.loads(line)
        if on_log is not None:
            on_log(values.pop("step"), values)
    return len(whole)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the launcher and all its processes, those too that still run when it has ended itself."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        process.poll()
        if not _signalled(process.pid, number):
            return
        ends_s = time.monotonic() + _GRACE_S
        while time.monotonic() < ends_s:
            process.poll()  # a launcher that nobody waited for would be of its group for ever
            if not _signalled(process.pid, 0):
                return
            time.sleep(_LOOK_S / 10)


def _signalled(group: int, number: int) -> bool:
    """Whether there was a process group to send a signal to; 0 asks that alone."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _reason(folder: Path, code: int) -> str:
    if (folder / ERROR).is_file():
        return (folder / ERROR).read_text(encoding="utf-8")
    lines = (folder / "output.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = next((line.strip() for line in reversed(lines) if "Error" in line), lines[-1].strip() if lines else "")
    return f"accelerate launch ended with exit code {code}: {last or 'it said nothing'}"
