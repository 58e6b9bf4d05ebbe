"""A training that is killed goes on from its last checkpoint, and ends with the bytes of one that was not."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stepsift import sidecache

pytestmark = pytest.mark.system

SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import polars as pl
from stepsift import params, train
from stepsift.student import StudentFiles, StudentSource
from trl import SFTTrainer

folder, cache, settings, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
calls = [0]
compute = SFTTrainer.compute_loss
def counting(self, model, inputs, **kwargs):
    calls[0] += model.training
    return compute(self, model, inputs, **kwargs)
SFTTrainer.compute_loss = counting
steps = []
def on_log(step, values):
    steps.append(step)
    if step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
ids = [([5 + i, 6, 7], [(3 * i + j) % 40 + 3 for j in range(4 + i % 5)]) for i in range(14)]
source = StudentSource(StudentFiles(folder), params.Student())
training = train.Training(source, params.Train.model_validate(settings), cache)
made = train.train_student(training, train.Examples(ids, pl.DataFrame()), 0, on_log)
print(json.dumps({"entry": str(made.folder), "batches": calls[0], "steps": steps}))
"""

PLAIN = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "checkpoint_every": 3}
"""42 showings, 11 updates; checkpoints after 3, 6 and 9."""
ALL = PLAIN | {
    "micro_batch": 2,
    "packing": True,
    "lora": {"rank": 2, "dropout": 0.2},
    "early_stop": {"share": 0.2, "every": 2, "patience": 20},
}


def run(student: Path, cache: Path, settings: dict, kill_at: int = 0) -> dict | None:
    command = [sys.executable, "-c", SCRIPT, str(student), str(cache), json.dumps(settings), str(kill_at)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if kill_at:
        assert done.returncode == -signal.SIGKILL, done.stderr
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def content(entry: str) -> dict[str, bytes]:
    folder = Path(entry)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(("settings", "of_update"), [(PLAIN, 1), (ALL, 2)], ids=["plain", "all at once"])
def test_a_killed_training_ends_with_the_same_bytes(student_folder, tmp_path, settings, of_update):
    student = student_folder("llama")
    whole = run(student, tmp_path / "whole", settings)
    n_updates = whole["steps"][-1]
    assert whole["steps"] == list(range(1, n_updates + 1))
    assert "training_args.bin" not in content(whole["entry"])

    run(student, tmp_path / "cache", settings, kill_at=8)
    [partial] = (tmp_path / "cache").glob(".partial-*/checkpoint-*")
    assert partial.name == "checkpoint-6"
    store = sidecache.SideCache(tmp_path / "cache")
    assert store.entries() == []
    assert not any(p.name.startswith(".partial") for p in store.disposable())
    again = run(student, tmp_path / "cache", settings)
    assert again["steps"] == whole["steps"]
    assert whole["batches"] - again["batches"] == 6 * of_update
    assert content(again["entry"]) == content(whole["entry"])
    assert [e.folder.name for e in store.entries()] == [Path(again["entry"]).name]
    assert not list((tmp_path / "cache").glob(".partial-*"))


def test_a_checkpoint_that_is_cut_short_is_not_used(student_folder, tmp_path):
    student = student_folder("llama")
    run(student, tmp_path / "cache", PLAIN, kill_at=8)
    [optimizer] = (tmp_path / "cache").glob(".partial-*/checkpoint-6/optimizer.pt")
    optimizer.write_bytes(optimizer.read_bytes()[:-1])
    again = run(student, tmp_path / "cache", PLAIN)
    assert again["batches"] == again["steps"][-1] == 11


def test_checkpoints_are_not_in_the_key_and_change_no_byte(student_folder, tmp_path):
    student = student_folder("llama")
    without = {name: value for name, value in PLAIN.items() if name != "checkpoint_every"}
    with_, none = run(student, tmp_path / "with", PLAIN), run(student, tmp_path / "without", without)
    assert Path(with_["entry"]).name == Path(none["entry"]).name
    assert content(with_["entry"]) == content(none["entry"])
