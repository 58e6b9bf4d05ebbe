"""Repositories for the tests of lineage: made once, copied for each test."""

import shutil
from pathlib import Path

import pytest

from helpers.once import SharedFolder


@pytest.fixture(scope="session")
def committed(shared_folder: SharedFolder) -> Path:
    """A repository with one revision of `project.pool()`; to be copied."""
    from helpers import lineage_project as project

    def make(folder: Path) -> None:
        folder.mkdir()
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.chdir(folder)
            project.start()
            project.commit("first", project.pool())

    return shared_folder.get("lineage", make)


@pytest.fixture
def repository(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the working folder."""
    shutil.copytree(committed, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return tmp_path / "repository"
