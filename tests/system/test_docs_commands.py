"""Every command of README.md and docs/ is run as it stands there, page by page, in a small project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.doc_pages import PAGES, ROOT, blocks
from helpers.hub import gsm8k, put_into_cache

pytestmark = pytest.mark.system

SHORTER = {
    "  selectors: [lalp, step_mean, galp, random] ": "  selectors: [lalp, random] ",
    "  epochs: 3 ": "  epochs: 1 ",
    "  seeds: [0, 1, 2]         # [0] by": "  seeds: [0]         # [0] by",
    "  tasks: [chain] ": "  limit: 4\n  max_new_tokens: 64\n  tasks: [chain] ",
    "  enabled: true ": "  enabled: false ",
}
"""What makes a run short; runs that MLflow tracks are those of test_pipeline and test_experiments."""
MEASURES = ("stepsift tune", "stepsift tune --seconds 5")
"""A command that measures for a minute, and the same for less."""
TO_RUN = [page for page in PAGES if any(block.is_run for block in blocks(page))]


def sh(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run lines of a shell in `folder`, each of which must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    # A stand-in for the hub, in its cache on this machine.
    env |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder.parent / "hub")}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": "t", f"GIT_{who}_EMAIL": "t@example.org"}
    shell = ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(shell, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(finished: Path) -> Path:
    """The pipeline was run and committed; `.venv` is the environment that runs the tests."""
    repo = finished
    # The same settings as a reader has them before him: line by line, not as a program writes YAML.
    text = (ROOT / "params.yaml").read_text()
    for line, short in SHORTER.items():
        assert text.count(line) == 1
        text = text.replace(line, short)
    (repo / "params.yaml").write_text(text)
    (repo / ".venv").symlink_to(Path(sys.executable).parents[1])
    # make compares times: nothing was changed since the environment was set up.
    for path in (*(repo / "requirements").iterdir(), repo / "pyproject.toml"):
        os.utime(path, (0, 0))
    done = sh(repo, "git add -A . ':!.venv' && git commit -qm 'first run' && dvc status")
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
    return repo


@pytest.mark.parametrize("page", TO_RUN)
def test_every_command_of_a_page_works(page: str, project: Path, tmp_path: Path):
    folder = tmp_path / "project"
    shutil.copytree(project, folder, symlinks=True)
    put_into_cache(tmp_path / "hub", "openai/gsm8k", gsm8k(12))
    for block in blocks(page):
        if block.is_run:
            done = sh(folder, block.text.replace(*MEASURES))
            assert done.returncode == 0, f"{page}:{block.line}\n{block.text}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stdout + done.stderr


def test_a_command_that_fails_is_seen(project: Path):
    assert sh(project, "stepsift why nothing-is-called-so\necho done").returncode == 1


def test_the_pages_are_those_of_this_checkout():
    assert "README.md" in TO_RUN
    assert (ROOT / "docs/OWN_TRACES.md").name in {Path(p).name for p in TO_RUN}
