"""Training in two processes on the CPU (DDP) is training in one: order, budget, weights, errors, resuming."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from stepsift import params, train
from stepsift.core.errors import TrainingError
from stepsift.student import StudentFiles, StudentSource

pytestmark = pytest.mark.system

CONFIGS = Path(__file__).parents[2] / "configs/accelerate"
HELPERS = Path(__file__).parents[1] / "helpers"
DDP = str(CONFIGS / "ddp_cpu.yaml")
IDS = [([5 + i, 6, 7], [(3 * i + j) % 40 + 3 for j in range(4 + i % 5)]) for i in range(14)]
PLAIN = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-3}


def run(student: Path, cache: Path, steps: list[int] | None = None, **changes: object) -> train.TrainedStudent:
    source = StudentSource(StudentFiles(student), params.Student())
    return train.train_student(
        train.Training(source, params.Train.model_validate(PLAIN | changes), cache),
        train.Examples(IDS, pl.DataFrame()),
        0,
        (lambda step, _: steps.append(step)) if steps is not None else None,
    )


def about(made: train.TrainedStudent) -> dict:
    return json.loads((made.folder / "training.json").read_text())


def gap(one: train.TrainedStudent, other: train.TrainedStudent) -> float:
    first, second = (load_file(t.folder / "model.safetensors") for t in (one, other))
    assert first.keys() == second.keys()
    return max(float((first[n] - second[n]).abs().max()) for n in first)


@pytest.mark.parametrize(
    "changes",
    [
        # 13 showings: the last round would take one more from the start to be even.
        {"micro_batch": 1, "budget": {"examples": 13}},
        {"packing": True, "early_stop": {"share": 0.2, "every": 2, "patience": 9}, "lora": {"rank": 2}},
    ],
    ids=["accumulated, uneven", "stopped, adapters"],
)
def test_two_processes_learn_what_one_does(student_folder, tmp_path, changes):
    student, steps = student_folder("llama"), []
    one = run(student, tmp_path / "one", **changes)
    two = run(student, tmp_path / "two", steps, launch=DDP, **changes)
    assert gap(one, two) < 1e-5
    assert one.parts != two.parts
    first, second = about(one), about(two)
    for name in first:
        assert second[name] == (pytest.approx(first[name], abs=1e-4) if isinstance(first[name], float) else first[name])
    assert steps == list(range(1, second["updates"] + 1))
    assert {p.name for p in one.folder.iterdir()} == {p.name for p in two.folder.iterdir()}
    curves = [[json.loads(line) for line in (t.folder / "curve.jsonl").read_text().splitlines()] for t in (one, two)]
    for a, b in zip(*curves, strict=True):
        assert a == pytest.approx(b, abs=1e-3)


@pytest.fixture
def fsdp(tmp_path, monkeypatch) -> str:
    """The configuration that is shipped, with two processes, whose weights lie on CPUs (see the helper)."""
    monkeypatch.setenv("PYTHONPATH", str(HELPERS / "fsdp_on_cpus"), prepend=os.pathsep)
    shipped = yaml.safe_load((CONFIGS / "fsdp.yaml").read_text())
    path = tmp_path / "fsdp.yaml"
    path.write_text(yaml.safe_dump(shipped | {"num_processes": 2, "use_cpu": True}))
    return str(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": {"rank": 2}, "early_stop": {"share": 0.2, "every": 2, "patience": 9}, "gradient_checkpointing": True},
        {"micro_batch": 1, "budget": {"examples": 13}, "checkpoint_every": 2},
    ],
    ids=["adapters", "all weights"],
)
def test_processes_that_share_the_weights_learn_what_one_does(student_folder, tmp_path, fsdp, changes):
    student = student_folder("llama")
    one = run(student, tmp_path / "one", **changes)
    two = run(student, tmp_path / "two", launch=fsdp, **changes)
    assert gap(one, two) < 1e-5
    first, second = about(one), about(two)
    assert second == pytest.approx(first, abs=1e-4)
    assert {p.name for p in one.folder.iterdir()} == {p.name for p in two.folder.iterdir()}
    if "lora" in changes:
        adapters = [load_file(t.folder / "adapter/adapter_model.safetensors") for t in (one, two)]
        assert adapters[0].keys() == adapters[1].keys()
        assert all(torch.allclose(adapters[0][n], adapters[1][n], atol=1e-5) for n in adapters[0])


def test_an_error_of_a_process_is_one_sentence(student_folder, tmp_path):
    with pytest.raises(TrainingError, match=r"^train.batch_size is 5, which 2 processes cannot share evenly"):
        run(student_folder("llama"), tmp_path / "cache", launch=DDP, batch_size=5)
    with pytest.raises(TrainingError, match=r"^train.launch is 'none.yaml', which cannot be read \(No such file"):
        run(student_folder("llama"), tmp_path / "cache", launch="none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("distributed_type: NONSENSE\nnum_processes: 2\n")
    with pytest.raises(TrainingError, match=r"^accelerate launch ended with exit code 1: .*Error") as caught:
        run(student_folder("llama"), tmp_path / "cache", launch=str(broken))
    assert len(str(caught.value).splitlines()) == 1


def test_the_processes_of_a_killed_training_end_and_it_goes_on(student_folder, tmp_path):
    student = student_folder("llama")
    changes = {"launch": DDP, "checkpoint_every": 3}
    whole = run(student, tmp_path / "whole", **changes)
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import test_train_launch as t\n"
        "class Steps(list):\n"
        "    def append(self, step):\n"
        "        if step >= 8: os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.run(Path(sys.argv[2]), Path(sys.argv[3]), Steps(), launch=t.DDP, checkpoint_every=3, epochs=3)\n"
    )
    cache = tmp_path / "cache"
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", script, here, str(student), str(cache)], check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while any("stepsift.train.launched" in " ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "processes outlive the run that started them"
        time.sleep(0.5)
    steps: list[int] = []
    again = run(student, cache, steps, **changes)
    assert steps == list(range(1, 12))
    for name in ("model.safetensors", "curve.jsonl", "training.json"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_what_was_not_tested_says_so():
    for path in CONFIGS.glob("*.yaml"):
        text = path.read_text()
        assert text.startswith("# Not tested here: ") == (path.name != "ddp_cpu.yaml")
        assert yaml.safe_load(text)["num_processes"] > 1
    assert os.access(DDP, os.R_OK)
