"""`dvc exp run` in the work tree, in a temporary copy and from a queue: results and MLflow's runs are all there."""

import json
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from helpers.pipeline_repo import STAGES, environment, run

pytestmark = pytest.mark.system


def ok(repo: Path, *command: str) -> str:
    """Standard output of a command that must succeed, and whose stages are tracked."""
    done = run(repo, *command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert "untracked" not in done.stderr
    return done.stdout


def finished(repo: Path) -> set[str]:
    """Names of the experiments whose results are in the repository, as git has them: DVC takes seconds to say so."""
    refs = ok(repo, "git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    return {ref.rpartition("/")[2] for ref in refs}


def start_workers(repo: Path) -> None:
    """`dvc queue start`. Its workers inherit its output, so a pipe would stay open for as long as they live."""
    command = ("dvc", "queue", "start", "--jobs", "2")
    path = repo / ".stepsift/queue.out"
    with path.open("ab") as out, suppress(subprocess.TimeoutExpired):
        started = subprocess.run(
            command, cwd=repo, env=environment(repo), stdout=out, stderr=out, timeout=60, check=False
        )
        assert started.returncode == 0, path.read_text()


def end_workers(repo: Path) -> None:
    """End workers that outlive the queue: the first to stop clears away the message that tells the other to."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if "queue-worker" in (process.info["cmdline"] or []) and process.info["cwd"] == str(repo):
            process.kill()


def run_queue(repo: Path, names: set[str], limit_s: float = 900, look_again_s: float = 20) -> None:
    """Run all that is queued, starting DVC's workers again where they ended too early, as on a slow machine they do.

    `dvc exp run --run-all` starts them once: it was seen to wait for more than an hour.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        start_workers(repo)
        patient_until = time.monotonic() + look_again_s
        while not names <= finished(repo) and time.monotonic() < patient_until:
            time.sleep(1)
        said = ok(repo, "dvc", "queue", "status")
        assert "Failed" not in said
        if not {"Queued", "Running"} & set(said.split()):
            return
    pytest.fail(f"the queue was not done after {limit_s:.0f} s:\n{said}")


def experiments(repo: Path) -> dict[str, dict[str, Any]]:
    """Name of each experiment to the selectors that it was run with and the metrics of its evaluation."""
    [baseline] = json.loads(ok(repo, "dvc", "exp", "show", "--json", "-n", "1"))[1:]
    found = {}
    for experiment in baseline["experiments"] or []:
        assert experiment.get("error") is None
        [rev] = [r for r in experiment["revs"] if r["data"]]
        params = rev["data"]["params"]["params.yaml"]["data"]
        found[experiment["name"]] = {
            "selectors": params["select"]["selectors"],
            "evaluated": set(rev["data"]["metrics"]["metrics/summary.json"]["data"]["accuracy"]["chain"]),
        }
    return found


def tracked(repo: Path) -> dict[str | None, list[Any]]:
    """Name of each experiment (None: no experiment) to MLflow's runs of its stages, in order."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("stepsift").experiment_id
    found: dict[str | None, list[Any]] = {}
    for child in client.search_runs([experiment], max_results=500, order_by=["start_time"]):
        if "dvc.stage" in child.data.tags:
            found.setdefault(child.data.tags.get("dvc.experiment"), []).append(child)
    return found


def test_experiments_of_every_kind_leave_their_results_and_runs(added: Path, monkeypatch: pytest.MonkeyPatch):
    repo = added
    # A copy has a cache of its own, which ends with it; named by its place, it is shared.
    monkeypatch.delenv("STEPSIFT_CACHE", raising=False)  # that of the repository, for copies too
    for setting in (("user.name", "t"), ("user.email", "t@example.org")):
        ok(repo, "git", "config", *setting)
    before = (repo / "params.yaml").read_bytes()

    ok(repo, "dvc", "exp", "run", "-n", "here", "-S", "select.selectors=[rsr]")
    assert yaml.safe_load((repo / "params.yaml").read_text())["select"]["selectors"] == ["rsr"]
    ok(repo, "git", "checkout", "-q", ".")
    ok(repo, "dvc", "checkout", "-q")
    ok(repo, "dvc", "exp", "run", "--temp", "-n", "copy", "-S", "select.selectors=[galp]")
    for name, selector in (("queued-1", "rank"), ("queued-2", "lalp")):
        ok(repo, "dvc", "exp", "run", "--queue", "-n", name, "-S", f"select.selectors=[{selector}]")
    try:
        run_queue(repo, {"queued-1", "queued-2"})
    finally:
        end_workers(repo)

    selectors = {"here": ["rsr"], "copy": ["galp"], "queued-1": ["rank"], "queued-2": ["lalp"]}
    assert experiments(repo) == {
        name: {"selectors": chosen, "evaluated": {"untrained", *chosen}} for name, chosen in selectors.items()
    }
    assert (repo / "params.yaml").read_bytes() == before
    runs = tracked(repo)
    assert set(runs) == {None, *selectors}
    assert [r.info.run_name for r in runs.pop(None)] == STAGES
    parents = set()
    for name, chosen in selectors.items():
        # Nothing before select was run again, and nothing was scored.
        assert [r.info.run_name for r in runs[name]] == ["select", "train", "evaluate", "report"]
        assert {r.info.status for r in runs[name]} == {"FINISHED"}
        assert runs[name][0].data.params["select.selectors"] == str(chosen)
        [parent] = {r.data.tags["mlflow.parentRunId"] for r in runs[name]}
        parents.add(parent)
    assert len(parents) == len(selectors)
    assert Counter(p.name for p in repo.rglob("mlflow.db")) == {"mlflow.db": 1}
