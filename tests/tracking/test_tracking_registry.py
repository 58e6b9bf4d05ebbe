"""Trained students in the registry: one version a student, an alias a selector, and no weights."""

import json
import shutil
import time
from pathlib import Path

import pytest

from stepsift import params, tracking
from stepsift.tracking.registry import RegisteredStudent, _alias, register

pytestmark = pytest.mark.slow


def students(dataset: str = "d1", fingerprint: str = "f") -> list[RegisteredStudent]:
    return [
        RegisteredStudent(
            selector, seed, f"data/train/{selector}/seed-{seed}", f"{fingerprint}-{selector}-{seed}", dataset
        )
        for selector in ("lalp", "galp.v2")
        for seed in (3, 4)
    ]


@pytest.fixture
def client(tmp_path: Path, mlflow_database: Path):
    from mlflow import MlflowClient

    shutil.copy(mlflow_database, tmp_path)
    made = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    made.experiment = made.create_experiment("e", artifact_location=str(tmp_path / "mlruns"))
    return made


def test_students_are_versions_that_point_at_dvc(client, tmp_path):
    run = client.create_run(client.experiment).info.run_id
    register(client, run, "student", students(), {"dvc.input_key": "k"})
    versions = client.search_model_versions("name = 'student'")
    assert len(versions) == 4
    best = client.get_model_version_by_alias("student", "lalp")
    assert best.tags == {
        "selector": "lalp",
        "seed": "3",
        "dvc.path": "data/train/lalp/seed-3",
        "student.fingerprint": "f-lalp-3",
        "dataset.fingerprint": "d1",
        "dvc.input_key": "k",
    }
    assert best.run_id == run
    assert "dvc pull data/train/lalp/seed-3" in best.description
    assert client.get_model_version_by_alias("student", "galp-v2").tags["seed"] == "3"
    notes = client.list_artifacts(run, "students")
    assert [Path(n.path).name for n in notes] == [f"{s}-seed-{n}.json" for s in ("galp.v2", "lalp") for n in (3, 4)]
    assert sum(n.file_size for n in notes) < 2_000
    note = json.loads(Path(client.download_artifacts(run, "students/lalp-seed-3.json", str(tmp_path))).read_text())
    assert note["dvc.path"] == "data/train/lalp/seed-3"


def test_the_same_student_keeps_its_version_and_another_moves_the_alias(client):
    runs = [client.create_run(client.experiment).info.run_id for _ in range(3)]
    register(client, runs[0], "student", students(), {})
    first = client.get_model_version_by_alias("student", "lalp").version
    register(client, runs[1], "student", students(), {})
    assert len(client.search_model_versions("name = 'student'")) == 4
    assert client.get_model_version_by_alias("student", "lalp").version == first
    # The same weights of another choice of traces are another student.
    register(client, runs[2], "student", students(dataset="d2"), {})
    assert len(client.search_model_versions("name = 'student'")) == 8
    assert client.get_model_version_by_alias("student", "lalp").tags["dataset.fingerprint"] == "d2"
    register(client, runs[2], "student", students(), {})
    assert client.get_model_version_by_alias("student", "lalp").version == first


@pytest.mark.parametrize(
    ("selector", "alias"), [("lalp", "lalp"), ("v2", "v2-set"), ("latest", "latest-set"), ("é b", "--b")]
)
def test_an_alias_is_one_that_mlflow_takes(client, selector, alias):
    assert _alias(selector) == alias
    run = client.create_run(client.experiment).info.run_id
    register(client, run, "student", [RegisteredStudent(selector, 0, "p", "f", "d")], {})
    assert client.get_model_version_by_alias("student", alias).tags["selector"] == selector


def test_a_watched_stage_logs_what_the_machine_does_and_files_are_artifacts(tmp_path, monkeypatch, mlflow_database):
    shutil.copy(mlflow_database, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    settings = params.Params.model_validate({"tracking": {}})
    page = tmp_path / "page.html"
    page.write_text("<p>")

    with tracking.stage("train", settings) as run:
        run.log_file(page)
        run.register("student", students())
        run.log_file(tmp_path / "none")
        time.sleep(1)
    with tracking.stage("select", settings):
        pass
    from mlflow import MlflowClient

    client = MlflowClient(tracking.setup(settings.tracking))
    found = client.search_runs([client.get_experiment_by_name("stepsift").experiment_id])
    by_name = {r.info.run_name: r for r in found}
    assert "system/cpu_utilization_percentage" in by_name["train"].data.metrics
    assert not any(name.startswith("system/") for name in by_name["select"].data.metrics)
    assert [a.path for a in client.list_artifacts(by_name["train"].info.run_id)] == ["page.html", "students"]
    assert len(client.search_model_versions("name = 'student'")) == 4
    assert by_name["train"].info.status == "FINISHED"
