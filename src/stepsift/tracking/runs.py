"""Runs of MLflow: a child for a stage's execution, below the parent of its pipeline."""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from stepsift import params
from stepsift.core import disk
from stepsift.core.errors import TrackingError
from stepsift.core.text import mlflow_name, named_error_line
from stepsift.tracking.pipeline import parent, source_tags
from stepsift.tracking.provenance import ERROR_CHARS, dvc_stage, experiment_tags, git_story, git_tags, root
from stepsift.tracking.registry import RegisteredStudent, register
from stepsift.tracking.values import log_inputs, log_params, numbers

log = logging.getLogger(__name__)

_WATCHED = ("score", "train")
"""Stages whose use of the machine is tracked."""
_PARENT = "mlflow.parentRunId"
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages would else take an experiment for one of chats and agents."""
_RUNS_PAGE = "#/experiments/{}/runs?workflowType=machine_learning"
_MOST_METRICS = 1_000
_FLUSH_S = 5.0
_OPEN_TIMEOUT_S = 5.0


class Run:
    """What a stage logs to; this one, of a stage that is not tracked, takes everything and does nothing."""

    def log_metric(self, name: str, value: float, step: int = 0) -> None:
        """Log one number; `step` orders the values of a curve."""

    def log_metrics(self, values: dict[str, Any], step: int = 0) -> None:
        """Log all numbers of nested dictionaries, names joined by '/'; what is no number is left out."""

    def log_summary(self, values: dict[str, Any]) -> None:
        """Log the numbers by which pipelines are compared (`summarise_metrics`) to the run of the whole pipeline."""

    def log_file(self, path: Path) -> None:
        """Log a small file as an artifact: a page, a picture; never data or weights."""

    def register(self, model: str, students: list[RegisteredStudent]) -> None:
        """Register trained students as versions of a model, see `registry.register`."""

    def end(self, status: str) -> None:
        """End the run: FINISHED, FAILED or KILLED."""


class _StageRun(Run):
    """A child run. Numbers are written in batches, since a single one costs about 20 ms."""

    def __init__(self, client: Any, run_id: str, parent_id: str, tags: dict[str, str]):
        """`tags` say of what commit and inputs the run is."""
        self.client, self.run_id, self.parent_id, self.tags = client, run_id, parent_id, tags
        self._monitor: Any = None
        self._pending: list[Any] = []
        self._flushed_at = time.monotonic()
        self._lost = False

    def log_metric(self, name: str, value: float, step: int = 0) -> None:
        from mlflow.entities import Metric

        self._pending.append(Metric(mlflow_name(name), float(value), int(time.time() * 1000), step))
        if len(self._pending) >= _MOST_METRICS or time.monotonic() - self._flushed_at > _FLUSH_S:
            self._flush()

    def log_metrics(self, values: dict[str, Any], step: int = 0) -> None:
        for name, value in numbers(values):
            self.log_metric(name, value, step)

    def log_summary(self, values: dict[str, Any]) -> None:
        from mlflow.entities import Metric

        with _warn_only("the pipeline's summary is not tracked"):
            now_ms = int(time.time() * 1000)
            batch = [Metric(name, value, now_ms, 0) for name, value in numbers(values)]
            self.client.log_batch(self.parent_id, metrics=batch)

    def log_file(self, path: Path) -> None:
        with _warn_only(f"{path.name} is not tracked"):
            self.client.log_artifact(self.run_id, str(path))

    def register(self, model: str, students: list[RegisteredStudent]) -> None:
        with _warn_only("no student is registered"):
            register(self.client, self.run_id, model, students, self.tags)

    def watch(self, uri: str) -> None:
        """Log what the machine does (`system/...`) until the run ends, every ten seconds."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        self._monitor = SystemMetricsMonitor(self.run_id, tracking_uri=uri)
        self._monitor.start()

    def end(self, status: str) -> None:
        if self._monitor is not None:
            with _warn_only("what the machine did is tracked in part"):
                self._monitor.finish()
        self._flush()
        if not self._lost:
            with _warn_only("the end of this stage is not tracked"):
                self.client.set_terminated(self.run_id, status)
                self.client.set_terminated(self.parent_id, status)

    def _flush(self) -> None:
        batch, self._pending = self._pending, []
        self._flushed_at = time.monotonic()
        if batch and not self._lost:
            self._lost = True
            with _warn_only("the stage goes on untracked"):
                self.client.log_batch(self.run_id, metrics=batch)
                self._lost = False


@contextmanager
def stage(name: str, settings: params.Params) -> Iterator[Run]:
    """Track the execution of stage `name`; a block that raises marks its run FAILED (KILLED when it is interrupted)."""
    run = Run()
    if settings.tracking.enabled:
        with _warn_only("the stage runs untracked"):
            run = _start(name, settings)
    try:
        yield run
    except Exception:
        run.end("FAILED")
        raise
    except BaseException:
        run.end("KILLED")
        raise
    run.end("FINISHED")


def setup(settings: params.Tracking) -> str:
    """Make the store and the experiment where they are missing, and return the store's URI.

    Safe when several processes do so at once. Raises TrackingError if the store cannot be reached.
    """
    _reach(settings)
    return store_uri(settings)


def runs_page(settings: params.Tracking) -> str:
    """Where the runs are on MLflow's pages, to be put behind a server's address and a slash.

    Raises TrackingError if the store cannot be reached.
    """
    return _RUNS_PAGE.format(_reach(settings))


def _reach(settings: params.Tracking) -> str:
    """The id of the experiment."""
    try:
        return _connect(settings)[1]
    except Exception as e:  # see _warn_only
        reason = named_error_line(e, ERROR_CHARS)
        raise TrackingError(f"tracking.uri is '{settings.uri}', which cannot be used: {reason}") from e


@contextmanager
def _warn_only(consequence: str) -> Iterator[None]:
    """Turn any error into one warning: MLflow, its database driver and DVC each raise errors of many libraries, and
    none of them is worth hours of scoring or training."""
    try:
        yield
    except Exception as e:
        reason = named_error_line(e, ERROR_CHARS)
        log.warning("MLflow: %s; %s (tracking.enabled: false turns tracking off)", reason, consequence)


def _start(name: str, settings: params.Params) -> _StageRun:
    """The child run of this stage's execution, with everything that is known before it does anything."""
    client, experiment = _connect(settings.tracking)
    dvc = dvc_stage(name, settings)
    commit = git_tags(dvc.outputs) | experiment_tags()
    with _lock():
        pipeline = parent(client, experiment, settings, commit, dvc.sources)
    tags = {_PARENT: pipeline, "dvc.stage": name, "dvc.cmd": dvc.cmd}
    tags |= source_tags(dvc.script(), commit, git_story())
    commit |= {"dvc.input_key": dvc.input_key()}
    created = client.create_run(experiment, tags=tags | commit, run_name=name)
    log_params(client, created.info.run_id, dvc.settings, dvc.written)
    log_inputs(client, created.info.run_id, name, dvc.data())
    run = _StageRun(client, created.info.run_id, pipeline, commit)
    if name in _WATCHED:
        with _warn_only("what the machine does is not tracked"):
            run.watch(store_uri(settings.tracking))
    return run


def _connect(settings: params.Tracking) -> tuple[Any, str]:
    """A client and the id of the experiment."""
    # MLflow reads these when it is imported. Telemetry: its documented switch. Requests: its defaults wait for minutes.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    for library in ("mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # These tell of every retry, and show where a database was given up; that it is away or full is said once, by us.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    uri = store_uri(settings)
    if uri.startswith("sqlite:///"):
        # MLflow would try a database that cannot be opened ten times, for minutes.
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"), timeout=_OPEN_TIMEOUT_S)) as database:
            database.execute("PRAGMA schema_version")
    with _lock():
        if uri.startswith("sqlite:///"):
            _make_database(Path(uri.removeprefix("sqlite:///")))
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(settings.experiment)
        if experiment is not None:
            return client, experiment.experiment_id
        artifacts = str(root() / "mlruns") if uri.startswith("sqlite:///") else None
        return client, client.create_experiment(settings.experiment, artifacts, tags=_KIND)


def _make_database(path: Path) -> None:
    """Make MLflow's tables where there are none, under another name first: a process that is killed while it makes
    them leaves a database to which MLflow can neither add them nor go on."""
    from mlflow import MlflowClient

    if path.stat().st_size > 0:
        return
    for left in path.parent.glob(".tmp-mlflow-*"):
        if disk.is_leftover(left):
            disk.remove(left)
    new = disk.temporary_beside(path.parent, "mlflow")
    MlflowClient(f"sqlite:///{new}").search_experiments(max_results=1)
    disk.replace_durably(new, path)


def store_uri(settings: params.Tracking) -> str:
    """Absolute: MLflow takes a relative one from the working directory, which under `dvc exp run --temp` is deleted."""
    return settings.uri if "://" in settings.uri else f"sqlite:///{root() / settings.uri}"


def _lock() -> FileLock:
    """Held while something is looked up and made if missing: stages that start at once would make it twice."""
    folder = root() / ".stepsift"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "mlflow.lock", timeout=120)
