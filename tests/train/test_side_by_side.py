"""Small students are trained several at once; what comes out does not depend on it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.pools import PoolHere
from helpers.training import STUDENT, files_in, row, write
from stepsift import params, student, train
from stepsift.core import processes
from stepsift.core.errors import TrainingError
from stepsift.student import StudentFiles, StudentSource
from stepsift.train import run, side_by_side
from stepsift.train.side_by_side import choose_workers

Folder = Callable[..., Path]
SETTINGS = params.Train(epochs=1, batch_size=2, learning_rate=1e-2, seeds=(0, 1))
ENOUGH = 100_000_000


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.fixture
def llama(student_folder: Folder) -> StudentSource:
    return StudentSource(files_in(student_folder("llama")), STUDENT)


@pytest.mark.usefixtures("two_cores")
def test_small_students_with_enough_to_learn_are_trained_on_all_cores(
    llama: StudentSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_workers(llama, SETTINGS, [ENOUGH] * 3) == 2
    assert choose_workers(llama, SETTINGS, [ENOUGH]) == 1
    assert choose_workers(llama, SETTINGS, []) == 1
    assert choose_workers(llama, SETTINGS, [ENOUGH, 10]) == 1
    assert choose_workers(llama, SETTINGS.model_copy(update={"launch": "ddp.yaml"}), [ENOUGH] * 3) == 1
    monkeypatch.setattr(student, "SMALL_PARAMETERS", 100)
    assert choose_workers(llama, SETTINGS, [ENOUGH] * 3) == 1


def test_a_gpu_trains_one_student_at_a_time(llama: StudentSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student, "pick_device", lambda _: "cuda")
    assert choose_workers(llama, SETTINGS, [ENOUGH] * 3) == 1


def _train(llama: StudentFiles, folder: Path) -> tuple[train.Trained, list[tuple[str, int, int]]]:
    for name, answer in (("first", "It is 5."), ("second", "It is 6."), ("third", "It is 5.")):
        (folder / "select" / name).mkdir(parents=True)
        write([row("2 + 3 ?", answer, n) for n in range(4)], folder / "select" / name / "train.jsonl")
    told: list[tuple[str, int, int]] = []
    trained = train.train_all(
        train.Training(StudentSource(llama, STUDENT), SETTINGS, folder / "cache"),
        folder / "select",
        ("first", "second", "third"),
        folder / "train",
        lambda selector, seed, update, _: told.append((selector, seed, update)),
    )
    return trained, told


@pytest.mark.usefixtures("two_cores")
def test_students_at_once_are_those_one_after_the_other(
    llama: StudentSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, told_alone = _train(llama.files, tmp_path / "alone")
    monkeypatch.setattr(side_by_side, "WORTH_OPERATIONS", 0)
    monkeypatch.setattr(run, "leave_to_parent", lambda: None)
    handed_out: list[tuple[str, int]] = []
    in_worker = run._train_in_worker

    def noted(shared: Any, planned: tuple[str, int]) -> None:
        handed_out.append(planned)
        in_worker(shared, planned)

    monkeypatch.setattr(run, "_train_in_worker", noted)
    monkeypatch.setattr(processes, "start", lambda _workers, _begin, shared: PoolHere(shared, breaks=False))
    at_once, told = _train(llama.files, tmp_path / "at once")
    # The third selector chose what the first did: its students are the first one's.
    assert handed_out == [("first", 0), ("first", 1), ("second", 0), ("second", 1)]
    assert told == told_alone
    assert len(told) == 3 * 2 * 2
    assert (at_once.trained, at_once.reused) == (alone.trained, alone.reused) == (4, 2)
    for name in ("first/seed-0", "second/seed-1", "third/seed-1"):
        weights = [(tmp_path / way / "train" / name / "model.safetensors").read_bytes() for way in ("alone", "at once")]
        assert weights[0] == weights[1]
    keys = [json.loads((tmp_path / way / "train" / "keys.json").read_text()) for way in ("alone", "at once")]
    assert keys[0] == keys[1]


@pytest.mark.usefixtures("two_cores")
def test_a_process_that_is_ended_from_outside_is_one_sentence(
    llama: StudentSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "WORTH_OPERATIONS", 0)
    monkeypatch.setattr(processes, "start", lambda _workers, _begin, shared: PoolHere(shared, breaks=True))
    with pytest.raises(TrainingError, match=r"ended from outside \(out of memory\?\); run it again: finished"):
        _train(llama.files, tmp_path)
