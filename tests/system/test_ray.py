"""What a Ray cluster refuses, and in which words; that it scores as a local student does is in `test_workers.py`."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from stepsift import params
from stepsift.core.errors import ScoringError, StudentError
from stepsift.score.backends.ray import RayBackend, _compare, _Student
from stepsift.score.identity import identify

pytestmark = pytest.mark.system

SETTINGS = params.Score(device="cpu", batching="trace")


@pytest.fixture(scope="module")
def ray():
    """A cluster of this machine with one CPU, which backends join and leave running."""
    ray = pytest.importorskip("ray", reason="Ray is not installed; `make ray` does it")
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def test_more_actors_than_the_cluster_has_room_for(ray, student_folder):
    student = params.Student(path=str(student_folder("llama")))
    with pytest.raises(ScoringError, match=r"score\.workers is 2, the Ray cluster has 1 CPUs"):
        RayBackend(student, SETTINGS, "cpu", 2, "trace")


def test_what_an_actor_raises_on_purpose_arrives_as_it_is(ray, student_folder, tmp_path: Path):
    folder = tmp_path / "student"
    shutil.copytree(student_folder("llama"), folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(StudentError, match="cannot be loaded") as said:
        RayBackend(params.Student(path=str(folder)), SETTINGS, "cpu", 1, "trace")
    assert "Traceback" not in str(said.value)
    assert ray.is_initialized()


def test_a_node_that_would_give_other_scores_is_refused(student_folder):
    student = params.Student(path=str(student_folder("llama")))
    here = identify(student, SETTINGS)
    _compare(here, here)
    with pytest.raises(ScoringError, match="student is '00' there"):
        _compare(dataclasses.replace(here, student="00"), here)
    other = dataclasses.replace(here, numerics=here.numerics | {"torch": "1.0", "products": "some"})
    actor = _Student(student, SETTINGS, "cpu", other)
    with pytest.raises(ScoringError, match=r"give other scores: products is '\w+' there and 'some' here, torch is"):
        actor.size()


def test_a_cluster_that_cannot_be_joined_is_named(student_folder, monkeypatch: pytest.MonkeyPatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed; `make ray` does it")

    def init(address: str, **_: object) -> None:
        raise ConnectionError(f"nothing at {address}")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ScoringError, match=r"RAY_ADDRESS '10\.0\.0\.1:6379' cannot be joined: nothing at"):
        RayBackend(params.Student(path=str(student_folder("llama"))), SETTINGS, "cpu", 1, "trace")
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(ScoringError, match="Ray cannot be started: nothing at local"):
        RayBackend(params.Student(path=str(student_folder("llama"))), SETTINGS, "cpu", 1, "trace")
