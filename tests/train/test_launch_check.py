"""What `stepsift check` hears of training before it begins."""

import subprocess
import sys
from pathlib import Path

import pytest

from stepsift import params
from stepsift.train import launch
from stepsift.train.launch import check_training


def test_students_are_counted_and_a_launch_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    settings = params.Train(seeds=(3, 5))
    finding = check_training(["lalp", "random"], settings)
    assert finding.lines == ["students    4 to train (lalp, random; seeds 3, 5)"]
    assert not finding.problems

    missing = tmp_path / "ddp.yaml"
    finding = check_training(["lalp"], settings.model_copy(update={"launch": str(missing)}))
    assert finding.lines == ["students    2 to train (lalp; seeds 3, 5)"]
    [problem] = finding.problems
    assert problem.startswith(f"train.launch is '{missing}', which cannot be read (No such file or directory); name ")
    missing.write_text("num_processes: 2\n")
    assert not check_training(["lalp"], settings.model_copy(update={"launch": str(missing)})).problems
    missing.write_bytes(b"\xff")
    assert len(check_training(["lalp"], settings.model_copy(update={"launch": str(missing)})).problems) == 1


def test_what_deepspeed_cannot_do_is_said_before_anything_is_scored() -> None:
    launch = "configs/accelerate/deepspeed_zero3.yaml"
    settings = params.Train(launch=launch)
    assert not check_training(["lalp"], settings).problems
    adapters = settings.model_copy(update={"lora": params.Lora()})
    [problem] = check_training(["lalp"], adapters).problems
    assert problem.startswith(f"train.lora cannot be merged under DeepSpeed, which train.launch ({launch}) asks for; ")
    stopped = settings.model_copy(update={"early_stop": params.EarlyStop()})
    [problem] = check_training(["lalp"], stopped).problems
    assert problem.startswith("train.early_stop cannot keep the best weights under DeepSpeed")
    fsdp = {"launch": "configs/accelerate/fsdp.yaml", "lora": params.Lora(), "early_stop": params.EarlyStop()}
    assert not check_training(["lalp"], settings.model_copy(update=fsdp)).problems


@pytest.mark.slow
@pytest.mark.parametrize("obeys", [True, False])
def test_processes_that_a_launcher_left_behind_are_ended(obeys: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_GRACE_S", 1.0)
    ignore = "" if obeys else "signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    rank = f"import signal, time; {ignore} print(1, flush=True); time.sleep(60)"
    launcher = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {rank!r}])"
    process = subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == b"1\n" and process.wait() == 0
    launch._end(process)
    assert process.communicate(timeout=20)[0] == b""  # the pipe ends when nobody holds its other end
