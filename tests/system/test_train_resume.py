"""A training that is killed goes on from its last checkpoint, and ends with the bytes of one that was not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepsift import sidecache

pytestmark = pytest.mark.system

SCRIPT = """
import json, os, signal, sys, traceback
from pathlib import Path
import polars as pl
from stepsift import params, train
from stepsift.student import StudentFiles, StudentSource
from stepsift.train import fit
from trl import SFTTrainer

calls = [0]
compute = SFTTrainer.compute_loss
def counting(self, model, inputs, **kwargs):
    calls[0] += model.training
    return compute(self, model, inputs, **kwargs)
SFTTrainer.compute_loss = counting
ids = [([5 + i, 6, 7], [(3 * i + j) % 40 + 3 for j in range(4 + i % 5)]) for i in range(14)]

def work(folder, cache, settings, kill_at, result):
    steps = []
    def on_log(step, values):
        steps.append(step)
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    source = StudentSource(StudentFiles(Path(folder)), params.Student())
    training = train.Training(source, params.Train.model_validate(settings), Path(cache))
    made = train.train_student(training, train.Examples(ids, pl.DataFrame()), 0, on_log)
    Path(result).write_text(json.dumps({"entry": str(made.folder), "batches": calls[0], "steps": steps}))

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        code = 1
        try:
            work(**json.loads(line))
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Trains in forks of itself, so that importing what trains, most of a run's time, is done once."""

PLAIN = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "checkpoint_every": 3}
"""42 showings, 11 updates; checkpoints after 3, 6 and 9."""
ALL = PLAIN | {
    "micro_batch": 2,
    "packing": True,
    "lora": {"rank": 2, "dropout": 0.2},
    "early_stop": {"share": 0.2, "every": 2, "patience": 20},
}


class Trainings:
    """Trainings in processes of their own, all of which start from the same imports."""

    def __init__(self, folder: Path):
        self.result, self.said = folder / "result.json", folder / "said.txt"
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                # What a library's threads hold is lost in a fork.
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def run(self, student: Path, cache: Path, settings: dict, kill_at: int = 0) -> dict | None:
        """Train; what came of it, None where the process was killed."""
        work = {"folder": str(student), "cache": str(cache), "settings": settings, "kill_at": kill_at}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(work | {"result": str(self.result)}) + "\n")
        self.process.stdin.flush()
        code = self.process.stdout.readline().strip()
        assert code == str(-signal.SIGKILL if kill_at else 0), self.said.read_text()
        return None if kill_at else json.loads(self.result.read_text())


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    trainings = Trainings(tmp_path_factory.mktemp("trainings"))
    with trainings.process:
        yield trainings


def content(entry: str) -> dict[str, bytes]:
    folder = Path(entry)
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(("settings", "of_update"), [(PLAIN, 1), (ALL, 2)], ids=["plain", "all at once"])
def test_a_killed_training_ends_with_the_same_bytes(trainings, student_folder, tmp_path, settings, of_update):
    student = student_folder("llama")
    whole = trainings.run(student, tmp_path / "whole", settings)
    n_updates = whole["steps"][-1]
    assert whole["steps"] == list(range(1, n_updates + 1))
    assert "training_args.bin" not in content(whole["entry"])

    trainings.run(student, tmp_path / "cache", settings, kill_at=8)
    [partial] = (tmp_path / "cache").glob(".partial-*/checkpoint-*")
    assert partial.name == "checkpoint-6"
    store = sidecache.SideCache(tmp_path / "cache")
    assert store.entries() == []
    assert not any(p.name.startswith(".partial") for p in store.disposable())
    again = trainings.run(student, tmp_path / "cache", settings)
    assert again["steps"] == whole["steps"]
    assert whole["batches"] - again["batches"] == 6 * of_update
    assert content(again["entry"]) == content(whole["entry"])
    assert [e.folder.name for e in store.entries()] == [Path(again["entry"]).name]
    assert not list((tmp_path / "cache").glob(".partial-*"))


def test_a_checkpoint_that_is_cut_short_is_not_used(trainings, student_folder, tmp_path):
    student = student_folder("llama")
    trainings.run(student, tmp_path / "cache", PLAIN, kill_at=8)
    [optimizer] = (tmp_path / "cache").glob(".partial-*/checkpoint-6/optimizer.pt")
    optimizer.write_bytes(optimizer.read_bytes()[:-1])
    again = trainings.run(student, tmp_path / "cache", PLAIN)
    assert again["batches"] == again["steps"][-1] == 11


def test_checkpoints_are_not_in_the_key_and_change_no_byte(trainings, student_folder, tmp_path):
    student = student_folder("llama")
    without = {name: value for name, value in PLAIN.items() if name != "checkpoint_every"}
    with_, none = (
        trainings.run(student, tmp_path / "with", PLAIN),
        trainings.run(student, tmp_path / "without", without),
    )
    assert Path(with_["entry"]).name == Path(none["entry"]).name
    assert content(with_["entry"]) == content(none["entry"])
