"""The stage score in a real container: the bytes of a run on the host, and one key of DVC's run cache for both.

Needs docker or podman and the image that `make image` builds; without them it is skipped.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.pipeline_repo import ok
from helpers.places import ROOT
from stepsift.container.image import image_digest, image_name
from stepsift.container.machine import ContainerError, Machine

pytestmark = pytest.mark.system


def find_engine() -> str:
    """An engine that has the image; skips where there is none."""
    reasons = []
    for engine in ("docker", "podman"):
        try:
            image_digest(Machine(engine=engine), ROOT)
        except ContainerError as e:
            reasons.append(str(e))
        else:
            return engine
    pytest.skip("; ".join(reasons))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Path]]:
    """An engine, the file that sets it, and a file with a line for each container that was started."""
    name = find_engine()
    folder = tmp_path_factory.mktemp("machine")
    (folder / "config/stepsift").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / name).write_text(
        f'#!/bin/sh\n[ "$1" = run ] && echo "$@" >> {folder}/started\nexec {shutil.which(name)} "$@"\n'
    )
    (folder / "bin" / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield name, folder / "config/stepsift/machine.yaml", folder / "started"


def counts(said: str) -> str:
    """What the stage score says of its traces at its end, without how long it took."""
    (line,) = (line for line in said.splitlines() if line.startswith("score: ") and "from the cache" in line)
    return line.partition(", in ")[0]


def test_host_and_container_share_the_run_cache_and_the_bytes(repo: Path, engine: tuple[str, Path, Path]):
    name, settings, started = engine
    before = ok(repo, "dvc", "repro", "score")
    lock = (repo / "dvc.lock").read_bytes()
    assert not started.exists()

    settings.write_text(f"engine: {name}\n")
    assert "Running stage" not in ok(repo, "dvc", "repro", "score")
    assert not started.exists()

    shutil.rmtree(repo / ".stepsift/cache")
    said = ok(repo, "dvc", "repro", "--force", "--single-item", "score")
    # Equal traces within the pool are from the cache; if the folder were still there, all would be.
    assert counts(said) == counts(before)
    assert len(started.read_text().splitlines()) == 1
    assert image_name(repo, "cpu") in started.read_text()
    assert (repo / "dvc.lock").read_bytes() == lock
    assert {p.stat().st_uid for p in (repo / "data/score").rglob("*")} == {os.getuid()}


def test_a_gpu_that_is_not_there_stops_the_stage(repo: Path, engine: tuple[str, Path, Path]):
    name, settings, _ = engine
    settings.write_text(f"engine: {name}\n")
    if name == "docker" or Path("/dev/nvidia0").exists():
        pytest.skip("docker itself refuses, or there is a GPU")
    words = [w for w in _inside(repo) if w != "--device=nvidia.com/gpu=all"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no GPU is visible in the container" in done.stderr


def _inside(repo: Path) -> list[str]:
    """A container that is asked for GPUs and given none, as by an engine that ignores the option."""
    mount = f"--mount=type=bind,source={repo},target={repo}"
    start = ["podman", "run", "--rm", "--network=none", mount, f"--workdir={repo}", f"--env=PYTHONPATH={repo}/src"]
    check = ["python", "-P", "-m", "stepsift.container.inside", "stages/score.py"]
    return [*start, "--device=nvidia.com/gpu=all", image_name(repo, "cpu"), *check]


def test_a_stage_that_is_stopped_leaves_no_container(repo: Path, engine: tuple[str, Path, Path]):
    name, settings, started = engine
    settings.write_text(f"engine: {name}\n")
    before = started.read_text() if started.exists() else ""
    (repo / "stages/score.py").write_text("import time\nprint('asleep', flush=True)\ntime.sleep(600)\n")
    env = os.environ | {"PYTHONPATH": str(repo / "src")}
    script = [shutil.which("python") or "python", "-P", "-m", "stepsift.container.launch", "score"]
    with subprocess.Popen(script, cwd=repo, env=env, stdout=subprocess.PIPE, text=True) as stage:
        assert stage.stdout is not None
        assert stage.stdout.readline() == "asleep\n"
        assert started.read_text() != before
        # podman's client begins to hand signals on a moment after the container has started.
        time.sleep(2)
        stage.terminate()
        assert stage.wait(timeout=60) == 143
    for _ in range(50):
        left = ok(repo, name, "ps", "--quiet", "--filter", f"ancestor={image_name(repo, 'cpu')}")
        if not left.strip():
            break
        time.sleep(0.1)
    assert not left.strip()
