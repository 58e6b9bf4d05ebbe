"""A real `mlflow server` with PostgreSQL behind it: stages log to it as to the local default, and do without it."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from helpers.pipeline_repo import change, run

pytestmark = pytest.mark.system

STARTS_WITHIN_S = 120


def postgresql() -> Path | None:
    """The folder of PostgreSQL's programs: Debian does not put them into the search path."""
    found = shutil.which("initdb")
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = Path(found).resolve() if found else known[-1] if known else None
    return initdb.parent if initdb else None


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def running(command: list[str], log: Path, **how: Any) -> Iterator[subprocess.Popen]:
    """A process with those that it starts, ended at the end."""
    with log.open("w") as f, subprocess.Popen(command, stdout=f, stderr=subprocess.STDOUT, **how) as process:
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def wait_for(ready: Any, process: subprocess.Popen, log: Path) -> None:
    """Until `ready()` is true and raises nothing."""
    until = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError):
            if ready():
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URI of an empty database in a PostgreSQL cluster of this test."""
    programs = postgresql()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed (pip install psycopg2-binary)")
    port = free_port()
    # PostgreSQL refuses to run as root, and nobody else may look into pytest's own folders.
    nobody = pwd.getpwnam("nobody")
    as_whom: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="stepsift-pg-") as scratch:
        folder = Path(scratch)
        if as_whom:
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_whom["cwd"] = folder
        init = [programs / "initdb", "-D", folder / "data", "-U", "stepsift", "-A", "trust", "-E", "UTF8", "--no-sync"]
        made = subprocess.run(list(map(str, init)), capture_output=True, text=True, check=False, **as_whom)
        assert made.returncode == 0, made.stderr
        server = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", port, "-F"]
        log = folder / "log"
        with running(list(map(str, server)), log, **as_whom) as process:
            is_ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_for(lambda: subprocess.run(is_ready, check=False).returncode == 0, process, log)
            yield f"postgresql+psycopg2://stepsift@127.0.0.1:{port}/postgres"


@contextmanager
def mlflow_server(database: str, folder: Path) -> Iterator[str]:
    """The URL of a tracking server."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database, "--workers", "1"]
    command += ["--artifacts-destination", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    url, log = f"http://127.0.0.1:{port}", folder / "server.log"

    def healthy() -> bool:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return answer.status == 200

    with running(command, log, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}) as process:
        wait_for(healthy, process, log)
        yield url


def forced(repo: Path) -> subprocess.CompletedProcess[str]:
    """Run the first two stages, whether or not anything changed; they must succeed."""
    done = run(repo, "dvc", "repro", "-f", "--no-run-cache", "segment")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def known(uri: str) -> list[dict[str, Any]]:
    """What a store holds of the latest run of a pipeline and its stages, without ids and times."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("stepsift").experiment_id
    runs = client.search_runs([experiment], order_by=["start_time DESC"], max_results=3)
    [parent] = [r for r in runs if "dvc.stage" not in r.data.tags]
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    varies = ("mlflow.parentRunId", "stepsift.pipeline", "mlflow.user", "mlflow.artifactLocation")
    return [
        {
            "name": r.info.run_name,
            "status": r.info.status,
            "params": r.data.params,
            "metrics": r.data.metrics,
            "tags": {k: v for k, v in r.data.tags.items() if k not in varies},
            "inputs": sorted((i.dataset.name, i.dataset.digest) for i in r.inputs.dataset_inputs),
        }
        for r in [parent, *sorted(children, key=lambda r: r.info.run_name)]
    ]


def test_a_server_holds_what_the_local_default_holds_and_stages_do_without_it(
    repo: Path,
    database: str,
    tmp_path: Path,
):
    assert "untracked" not in forced(repo).stderr
    local = known(f"sqlite:///{repo / 'mlflow.db'}")
    assert [r["name"] for r in local][1:] == ["ingest", "segment"]
    assert all(r["metrics"] and r["params"] and r["inputs"] for r in local[1:])
    outputs = {p: p.read_bytes() for p in sorted((repo / "data/segment").iterdir())}
    with mlflow_server(database, tmp_path) as url:
        change(repo, "tracking", uri=url)
        made = run(repo, "stepsift", "setup")
        assert (made.returncode, made.stdout.splitlines()[0]) == (0, f"MLflow keeps its runs in {url}")
        shown = run(repo, "stepsift", "ui")
        assert (shown.returncode, shown.stdout) == (
            0,
            f"MLflow is a server already: open {url}/#/experiments/1/runs?workflowType=machine_learning\n",
        )
        assert "untracked" not in forced(repo).stderr
        assert known(url) == local
    away = forced(repo)
    warnings = [line for line in away.stderr.splitlines() if line.startswith("MLflow: ")]
    assert len(warnings) == 2  # a stage
    assert all(
        line.endswith("; the stage runs untracked (tracking.enabled: false turns tracking off)") for line in warnings
    )
    assert {p: p.read_bytes() for p in outputs} == outputs
    missing = run(repo, "stepsift", "setup")
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"error: tracking.uri is '{url}', which cannot be used: ")


def test_a_server_that_takes_calls_and_answers_none_is_not_waited_for(repo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        change(repo, "tracking", uri=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert forced(repo).stderr.count("; the stage runs untracked") == 2
