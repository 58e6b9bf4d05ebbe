"""Repositories with a small pool, made once per run of the tests and copied for each module that changes one."""

import functools
import shutil
from pathlib import Path

import pytest

from helpers import pipeline_repo
from helpers.once import SharedFolder

LONGEST_FIRST = (
    "test_recurate_run.py",
    "test_audition.py",
    "test_train_launch.py",
    "test_experiments.py",
    "test_docs_commands.py",
    "test_pipeline.py",
    "test_stage_kills.py",
    "test_lineage.py",
    "test_workers.py",
    "test_references.py",
    "test_mlflow_server.py",
    "test_fresh_machine.py",
    "test_recipe_run.py",
    "test_kills.py",
    "test_add_branches.py",
    "test_remotes.py",
    "test_forgery.py",
    "test_train_resume.py",
    "test_ray.py",
)
"""So that nothing long is left for the end, when one process is idle; the second and third wait for no
repository that the first makes for all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test-system` runs files side by side, and the tests of a file in order, by one process."""
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def _copy(source: Path, factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(source, factory.mktemp("clone") / "repo", symlinks=True))


@pytest.fixture(scope="session")
def begun(shared_folder: SharedFolder) -> Path:
    """What helpers.pipeline_repo.start makes, for reading only."""
    return shared_folder.get("begun", pipeline_repo.start)


@pytest.fixture(scope="module")
def repo(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a small pool in which nothing was run yet."""
    return _copy(begun, tmp_path_factory)


@pytest.fixture(scope="session")
def ran(begun: Path, shared_folder: SharedFolder) -> Path:
    """What helpers.pipeline_repo.finish makes, for reading only."""
    return shared_folder.get("finished", functools.partial(pipeline_repo.finish, begun=begun))


@pytest.fixture(scope="module")
def finished(ran: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a small pool on which the pipeline was run; nothing of it is committed but the code."""
    return _copy(ran, tmp_path_factory)


@pytest.fixture(scope="module")
def added(begun: Path, ran: Path, shared_folder: SharedFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose sources are under DVC, run with the selector `random`, and committed; it has no remote."""
    make = functools.partial(pipeline_repo.add_and_finish, begun=begun, finished=ran)
    return _copy(shared_folder.get("added", make), tmp_path_factory)
