"""A small project to which sources are added."""

import subprocess
from pathlib import Path

import pytest

from helpers.places import ROOT
from helpers.source_project import PARAMS, new, pool


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git and DVC repository with a pool of one file, and the working directory; `outside` has a new file."""
    project = tmp_path / "project"
    (project / "data/sources").mkdir(parents=True)
    (project / "params.yaml").write_text(PARAMS)
    (project / "data/.gitignore").write_bytes((ROOT / "data/.gitignore").read_bytes())
    (project / "data/sources/anna.jsonl").write_text(pool())
    (tmp_path / "new.jsonl").write_text(new())
    monkeypatch.chdir(project)
    for name in ("DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q"], check=True)
    from dvc.repo import Repo

    Repo.init().close()
    return project


@pytest.fixture(autouse=True)
def _judges(shared_judges: None) -> None:
    """What is tested here is what becomes of verdicts."""
