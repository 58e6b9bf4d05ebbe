"""Where several processes are sooner, they ask the students; the answers do not depend on it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.evaluate_bench import QUESTIONS, SETTINGS, Bench, write_task
from helpers.pools import PoolHere
from stepsift import params
from stepsift.core import processes
from stepsift.core.errors import EvaluationError
from stepsift.evaluate import run
from stepsift.tasks import find_tasks


@pytest.fixture
def bench(student_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The untrained student and five trained ones, of which two and two are the same, on two cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    bench = Bench(tmp_path, student_folder("llama"))
    for seed, scale in ((1, 2.0), (2, -2.0), (3, -1.0), (4, 2.0)):
        bench.add_trained("lalp", seed, scale)
    write_task(tmp_path / "tasks", [{"question": q, "answer": "42"} for q in QUESTIONS])
    return bench


def _tables(bench: Bench) -> list[bytes]:
    return [
        (bench.folder / "out" / name).read_bytes() for name in ("answers.parquet", "evaluations.parquet", "keys.json")
    ]


def test_answers_of_students_asked_at_once_are_those_of_one_after_the_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    in_worker = run._ask_in_worker

    def noted(sources: Any, evaluation: run.Evaluation) -> None:
        asked.append(evaluation.source.files.folder.name)
        in_worker(sources, evaluation)

    monkeypatch.setattr(run, "_ask_in_worker", noted)
    monkeypatch.setattr(run, "leave_to_parent", lambda: None)
    monkeypatch.setattr(processes, "start", lambda _workers, _begin, shared: PoolHere(shared, breaks=False))
    alone = bench.run()
    assert (alone.evaluated, alone.reused, asked) == (4, 2, [])
    expected = _tables(bench)
    bench.forget()
    monkeypatch.setattr(run, "_START_S", 0.0)
    at_once = bench.run()
    # The first two are asked here, and tell what one takes; seed 3 is seed 0 again, seed 4 is seed 1.
    assert asked == ["seed-1", "seed-2"]
    assert (at_once.evaluated, at_once.reused) == (4, 2)
    assert _tables(bench) == expected
    assert (bench.run().evaluated, asked) == (0, ["seed-1", "seed-2"])


@pytest.mark.parametrize(("engine", "is_small", "expected"), [("hf", True, 3), ("vllm", True, 0), ("hf", False, 0)])
def test_another_engine_and_a_larger_student_ask_one_at_a_time(
    engine: str, is_small: bool, expected: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "takes_one_core", lambda _: is_small)
    evaluation = bench.evaluation(params.Evaluate.model_validate(SETTINGS.model_dump() | {"engine": engine}))
    trained = [bench.folder / "train/lalp" / f"seed-{seed}" for seed in (0, 1, 2)]
    students = [replace(evaluation, source=evaluation.source.at(folder)) for folder in trained]
    sources = find_tasks(("toy",), bench.folder / "tasks", ("toy",))
    # Three of 25 s take two cores 50 s instead of 75.
    assert len(run._for_processes(students, sources, 25.0, 2)) == expected
    assert run._for_processes(students, sources, 15.0, 2) == []


def test_a_process_that_is_ended_from_outside_is_one_sentence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_START_S", 0.0)
    monkeypatch.setattr(processes, "start", lambda _workers, _begin, shared: PoolHere(shared, breaks=True))
    with pytest.raises(EvaluationError, match=r"ended from outside \(out of memory\?\); run it again: finished"):
        bench.run()
