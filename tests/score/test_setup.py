"""From parameters to scores: whole runs with the student that the parameters name."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from helpers.score_pool import CYRILLIC, POOL, SHORT, write_pool
from stepsift import params
from stepsift.commands.cache import spaces
from stepsift.core import table_files, tables
from stepsift.core.errors import StudentError
from stepsift.score import setup
from stepsift.score.backends.local import LocalBackend
from stepsift.score.forward import own
from stepsift.score.forward.pieces import LayerPieces
from stepsift.score.forward.request import Request
from stepsift.score.forward.windows import Pass
from stepsift.score.identity import identify
from stepsift.score.progress import Progress
from stepsift.score.run import score_to_tables

SUMS = [c for c in tables.STEP_SCORES.schema if c.endswith(("logprob", "entropy"))]


@pytest.fixture(autouse=True)
def _ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured at the end of each run: the speed of the machine is no matter here."""

    def ceiling(device: str, dtype: str) -> float:
        assert device == "cpu" and isinstance(getattr(torch, dtype), torch.dtype)
        return 1e9

    monkeypatch.setattr(setup, "ceiling", ceiling)


def run(student: Path, folder: Path, pool: dict[str, str] = POOL, **settings) -> tuple[pl.DataFrame, Progress]:
    wanted = params.Score(device="cpu", **settings)
    with setup.load(params.Student(path=str(student)), wanted, folder / "cache") as scoring:
        score_to_tables(scoring, write_pool(folder, pool), folder / "out")
    return table_files.read(tables.STEP_SCORES, folder / "out" / "step_scores.parquet"), scoring.progress


def test_packed_batches_give_the_scores_of_single_traces(student_folder, tmp_path: Path):
    student = student_folder("llama")
    pool = POOL | {"d": SHORT + " So be it.", "e": CYRILLIC * 9}
    alone, first = run(student, tmp_path, pool)
    assert first.from_cache == 0
    for budget in (64, 4_096):
        packed, progress = run(student, tmp_path, pool, batching="packed", batch_tokens=budget)
        same = ["trace_id", "step", "n_tokens"]
        assert packed.select(same).equals(alone.select(same))
        # Sums over a step's tokens.
        tolerance = 5e-5 * np.maximum(alone["n_tokens"].to_numpy(), 1)
        for column in SUMS:
            both = packed[column].is_null() == alone[column].is_null()
            assert both.all()
            assert ((packed[column] - alone[column]).abs().fill_null(0).to_numpy() <= tolerance).all()
        # Values of another numerics are never taken; what was computed is counted once.
        assert progress.from_cache == 0 and progress.metrics() == first.metrics()
        again, warm = run(student, tmp_path, pool, batching="packed", batch_tokens=budget)
        assert warm.from_cache == 5 and warm.computed == 0 and again.equals(packed)
    assert len(spaces(tmp_path / "cache")) == 3


SOME_REQUESTS = [Request([1] * 10, [2] * 20, [Pass(0, 0, 12), Pass(5, 12, 20)], full=True)] * 6


def test_processes_for_a_small_student(student_folder, monkeypatch):
    source = params.Student(path=str(student_folder("llama")))
    monkeypatch.setattr(setup.student, "count_parameters", lambda _: 1_000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))

    def chosen(settings: params.Score | None = None, requests: list[Request] = SOME_REQUESTS) -> int:
        return setup.choose_workers(source, settings or params.Score(), requests)

    tokens = 6 * (10 + sum(p.length for p in SOME_REQUESTS[0].local) + 20)
    for share, workers in [(1.01, 1), (0.51, 1), (0.5, 2), (0.34, 2), (0.1, 4)]:
        monkeypatch.setattr(setup, "WORTH_OPERATIONS", share * 2 * 1_000 * tokens)
        assert chosen() == workers
    assert chosen(requests=SOME_REQUESTS[:1]) == 1 and chosen(requests=[]) == 1
    # Values of packed batches depend on what a process is given; a student with several threads needs the cores.
    assert chosen(params.Score(batching="packed")) == 1
    monkeypatch.setattr(setup.student, "count_parameters", lambda _: 10_000_000)
    assert chosen() == 1
    monkeypatch.setattr(setup.student, "count_parameters", lambda _: 1_000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert chosen() == 1


def test_a_run_with_much_to_do_divides_itself(student_folder, tmp_path: Path, monkeypatch):
    alone, _ = run(student_folder("llama"), tmp_path / "alone")
    asked: list[int] = []

    def start(source: params.Student, settings: params.Score, device: str, workers: int, batching: str) -> LocalBackend:
        asked.append(workers)
        return LocalBackend(source, settings.model_copy(update={"workers": workers}), device)

    monkeypatch.setattr(setup, "ProcessBackend", start)
    monkeypatch.setattr(setup, "WORTH_OPERATIONS", 1.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    divided, _ = run(student_folder("llama"), tmp_path / "divided")
    assert divided.equals(alone) and asked == [3]
    run(student_folder("llama"), tmp_path / "one", workers=1)
    assert asked == [3]


def test_identity_is_that_of_the_scores(student_folder, tmp_path: Path):
    student = params.Student(path=str(student_folder("llama")))
    mine = identify(student, params.Score(device="cpu"))
    with setup.load(student, params.Score(device="cpu"), tmp_path) as scoring:
        assert scoring.identity == mine
        assert scoring.backend.size.context == scoring.planner.context == 512
        assert scoring.backend.size.vocabulary == scoring.planner.vocabulary
    assert mine != identify(student, params.Score(device="cpu", dtype="bfloat16"))
    other = identify(params.Student(path=str(student_folder("gpt2"))), params.Score(device="cpu"))
    assert dataclasses.replace(other, student=mine.student) == mine != other
    assert mine.as_json() == {"student": mine.student, "numerics": mine.numerics}


def test_scores_of_the_decoder_of_ours_are_kept_apart(student_folder, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(own, "compiler", lambda: "g++ 1.2.3")
    monkeypatch.setattr(LayerPieces, "compiled", classmethod(lambda cls: cls()))
    student, pool = student_folder("llama"), {"c": POOL["c"]}
    settings = params.Score(device="cpu", decoder="own")
    mine, default = (
        identify(params.Student(path=str(student)), s).numerics for s in (settings, params.Score(device="cpu"))
    )
    assert mine == default | {"decoder": f"own {own.VERSION}, g++ 1.2.3, float32 products"}
    by_model, _ = run(student, tmp_path, pool)
    ours, first = run(student, tmp_path, pool, decoder="own")
    _, again = run(student, tmp_path, pool, decoder="own")
    assert (first.from_cache, again.from_cache, again.computed) == (0, 1, 0)
    assert len(spaces(tmp_path / "cache")) == 2
    for column in SUMS:
        assert ((ours[column] - by_model[column]).abs().fill_null(0) <= 5e-5 * by_model["n_tokens"].clip(1)).all()
    # A compiler that is no longer there: as if nothing had been asked for.
    monkeypatch.setattr(own, "compiler", lambda: None)
    assert identify(params.Student(path=str(student)), settings).numerics == default


def test_a_run_that_finds_all_in_the_cache_loads_no_student(student_folder, tmp_path: Path, monkeypatch):
    first, _ = run(student_folder("llama"), tmp_path)

    def load(*_: object) -> None:
        raise StudentError("asked for")

    monkeypatch.setattr(setup, "LocalBackend", load)
    monkeypatch.setattr(setup, "ceiling", load)
    again, warm = run(student_folder("llama"), tmp_path)
    assert again.equals(first) and warm.from_cache == warm.scored > 0
    with pytest.raises(StudentError, match="asked for"):
        run(student_folder("llama"), tmp_path, POOL | {"new": SHORT + " So be it."})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precisions_stay_near(student_folder, tmp_path: Path, dtype: str):
    single, _ = run(student_folder("llama"), tmp_path)
    half, _ = run(student_folder("llama"), tmp_path, dtype=dtype)
    tokens = single["n_tokens"].sum()
    assert (single["local_logprob"] - half["local_logprob"]).abs().sum() / tokens < 0.05
    assert not half.equals(single)


@pytest.mark.parametrize(
    ("device", "placement", "workers", "place"),
    [
        ("cuda", "one", None, "cuda, 4 processes"),
        ("cuda", "one", 1, "cuda"),
        # One student over all of them, or a share for each that is asked for.
        ("cuda", "spread", None, "cuda"),
        ("cuda", "cpu_offload", None, "cuda"),
        ("cuda", "spread", 2, "cuda, 2 processes"),
        ("cpu", "one", None, "cpu"),
        ("cpu", "one", 3, "cpu, 3 processes"),
    ],
)
def test_of_four_devices_each_has_a_student_unless_it_is_divided(
    device: str, placement: str, workers: int | None, place: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(setup.torch.cuda, "device_count", lambda: 4)
    backend = setup._backend(params.Student(placement=placement), params.Score(workers=workers), device)
    assert backend.device == place


@pytest.mark.parametrize(
    ("placement", "workers", "times"), [("one", None, 4), ("one", 3, 3), ("one", 9, 4), ("spread", None, 1)]
)
def test_a_run_is_held_against_what_all_its_devices_reach(
    placement: str, workers: int | None, times: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(setup.torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(setup, "ceiling", lambda *_: 5e12)
    monkeypatch.setattr(setup.student, "pick_device", lambda _: "cuda")
    settings = params.Score(workers=workers)
    measure = setup.ceiling_of_devices(settings, setup._device_count(params.Student(placement=placement), settings))
    assert measure is not None
    assert measure() == times * 5e12


def test_nobody_measures_the_machines_of_a_cluster():
    assert setup.ceiling_of_devices(params.Score(engine="ray"), 1) is None


def test_processors_are_measured_before_processes_keep_them_busy(
    student_folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done = []

    def start(*_: object) -> None:
        done.append("processes")
        raise StudentError("they started")

    monkeypatch.setattr(setup, "ceiling", lambda *_: done.append("measured"))
    monkeypatch.setattr(setup, "ProcessBackend", start)
    with pytest.raises(StudentError, match="they started"):
        run(student_folder("llama"), tmp_path, workers=2)
    assert done == ["measured", "processes"]


def test_no_student_is_said_before_anything_is_loaded(tmp_path: Path):
    with pytest.raises(StudentError, match="where there is nothing"):
        setup.load(params.Student(path=str(tmp_path / "none")), params.Score(), tmp_path)
