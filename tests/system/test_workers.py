"""Students in other processes and on a Ray cluster: the bytes of one student here, whatever is killed on the way."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stepsift import params
from stepsift.core.errors import StudentError
from stepsift.score.backends.local import Backend, LocalBackend, Result
from stepsift.score.backends.processes import ProcessBackend, in_order, shards
from stepsift.score.forward.request import Refused, Request, Scores
from stepsift.score.forward.windows import Pass

pytestmark = pytest.mark.system

SETTINGS = params.Score(device="cpu", batching="trace")


def requests(n: int) -> list[Request]:
    """Traces of different lengths, a step every seven tokens."""
    made = []
    for i in range(n):
        length = 20 + 7 * (i % 11)
        passes = [Pass(max(0, begin - 28), begin, min(begin + 7, length)) for begin in range(0, length, 7)]
        made.append(Request([5, 6 + i % 4], [7 + (i * j) % 90 for j in range(length)], passes, full=True))
    return made


def as_bytes(result: Result) -> list[bytes]:
    assert isinstance(result, Scores) and result.local is not None and result.full is not None
    return [c.tobytes() for v in (result.local, result.full) for c in v.columns()]


def test_shards_hold_everything_once():
    assert shards(0, 4) == []
    assert [list(s) for s in shards(9, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_two_processes_one_of_them_killed(student_folder):
    student = params.Student(path=str(student_folder("llama")))
    work = requests(240)
    expected = dict(enumerate(in_order(LocalBackend(student, SETTINGS, "cpu"), work)))
    backend = ProcessBackend(student, SETTINGS, "cpu", 2, "trace")
    try:
        assert backend.size == LocalBackend(student, SETTINGS, "cpu").size
        results: dict[int, Result] = {}
        workers = psutil.Process().children(recursive=True)
        for done in backend.score(work):
            assert not results.keys() & dict(done).keys()
            results |= dict(done)
            if len(results) == 32:
                killed = next(p for p in workers if "spawn_main" in " ".join(p.cmdline()))
                killed.send_signal(signal.SIGKILL)
        assert not psutil.pid_exists(killed.pid) or killed.status() == psutil.STATUS_ZOMBIE
    finally:
        backend.close()
    assert {i: as_bytes(r) for i, r in results.items()} == {i: as_bytes(r) for i, r in expected.items()}


@pytest.fixture(autouse=True)
def _equal_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray gives its workers what other processes leave (niceness 15), so the tests beside these would stop them."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


DEADLY = 66
"""Prompt id at which the student of a test kills its own process."""
KILLS_ITSELF = """
import importlib.machinery, os, signal, sys

class Deadly(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "stepsift.score.backends.local":
            return None
        spec = super().find_spec(name, path, target)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), make_deadly(module))
        return spec

def make_deadly(backend):
    score = backend.score_requests
    def deadly(engine, requests):
        if any(r.prompt[0] == {deadly} for r in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return score(engine, requests)
    backend.score_requests = deadly

sys.meta_path.insert(0, Deadly)
"""
"""Not before the backend is imported: Ray starts processes that never do so, and that would each load torch for it."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Processes started from here on die of a request whose prompt begins with DEADLY."""
    (tmp_path / "sitecustomize.py").write_text(KILLS_ITSELF.format(deadly=DEADLY))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def assert_one_is_refused(backend: Backend, folder: str) -> None:
    """Of many requests the deadly one alone is refused, and the others have the bytes of a student here."""
    work = requests(60)
    expected = dict(enumerate(in_order(LocalBackend(params.Student(path=folder), SETTINGS, "cpu"), work)))
    work[37] = dataclasses.replace(work[37], prompt=[DEADLY, 6])
    try:
        results = dict(pair for done in backend.score(work) for pair in done)
    finally:
        backend.close()
    refused = results.pop(37)
    assert isinstance(refused, Refused) and refused.reason == "worker_lost" and "died each time" in refused.detail
    del expected[37]
    assert {i: as_bytes(r) for i, r in results.items()} == {i: as_bytes(r) for i, r in expected.items()}


def test_a_trace_that_kills_its_process_is_refused(student_folder, deadly):
    folder = str(student_folder("llama"))
    assert_one_is_refused(ProcessBackend(params.Student(path=folder), SETTINGS, "cpu", 2, "trace"), folder)


def test_a_trace_that_kills_its_actor_is_refused(student_folder, deadly):
    pytest.importorskip("ray", reason="Ray is not installed; `make ray` does it")
    from stepsift.score.backends.ray import RayBackend

    folder = str(student_folder("llama"))
    assert_one_is_refused(RayBackend(params.Student(path=folder), SETTINGS, "cpu", 2, "trace"), folder)


def test_what_a_worker_cannot_load_is_said(tmp_path: Path):
    with pytest.raises(StudentError, match="where there is nothing"):
        ProcessBackend(params.Student(path=str(tmp_path / "none")), SETTINGS, "cpu", 2, "trace")


ORPHANS = """
import os, sys
from stepsift import params
from stepsift.score.backends.processes import ProcessBackend
if __name__ == "__main__":
    backend = ProcessBackend(params.Student(path=sys.argv[1]), params.Score(device="cpu"), "cpu", 2, "trace")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_workers_do_not_outlive_a_parent_that_is_killed(student_folder, tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(ORPHANS)
    command = [sys.executable, str(script), str(student_folder("llama"))]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
    workers = psutil.Process(parent.pid).children(recursive=True)
    assert len(workers) >= 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def test_a_ray_cluster_of_two_one_of_them_killed(student_folder):
    ray = pytest.importorskip("ray", reason="Ray is not installed; `make ray` does it")
    from stepsift.score.backends.ray import RayBackend

    student = params.Student(path=str(student_folder("llama")))
    work = requests(240)
    expected = dict(enumerate(in_order(LocalBackend(student, SETTINGS, "cpu"), work)))
    backend = RayBackend(student, SETTINGS, "cpu", 2, "trace")
    try:
        pids = [ray.get(actor.pid.remote()) for actor in backend._actors]
        assert len(set(pids)) == 2 and os.getpid() not in pids
        results: dict[int, Result] = {}
        for done in backend.score(work):
            assert not results.keys() & dict(done).keys()
            results |= dict(done)
            if len(results) == 28:
                os.kill(pids[0], signal.SIGKILL)
                time.sleep(0.2)
        assert ray.get(backend._actors[0].pid.remote()) != pids[0]  # another one took its place
    finally:
        backend.close()
    assert {i: as_bytes(r) for i, r in results.items()} == {i: as_bytes(r) for i, r in expected.items()}
