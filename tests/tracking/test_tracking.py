"""A stage's execution is a run of MLflow that points at what DVC knows, and no store can fail a stage."""

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers.once import SharedFolder
from stepsift import params, tracking
from stepsift.core.errors import TrackingError
from stepsift.tracking.pipeline import source_tags
from stepsift.tracking.provenance import DvcStage, git_story, git_tags

pytestmark = pytest.mark.slow

SRC = Path(tracking.__file__).parents[2]
DVC = Path(sys.executable).with_name("dvc")
PARAMS = {"ingest": {"thinking": "drop"}, "segment": {"unit": "line"}}
STAGE = """
import sys
from pathlib import Path
from stepsift import params, tracking
name, out = sys.argv[1:]
with tracking.stage(name, params.load()) as run:
    Path(out).mkdir(parents=True)
    Path(out, "x").write_text(name)
    run.log_metrics({"rows": 3})
    if "fail" in Path("data/sources/a.jsonl").read_text() and name == "segment":
        raise ValueError("no")
"""
STAGE_FILE = "stages/stage.py"
PIPELINE = {
    "stages": {
        "ingest": {
            "cmd": "python stages/stage.py ingest data/ingest",
            "deps": ["data/sources", "data/sources/a.jsonl", "stages/stage.py"],
            "params": ["ingest"],
            "outs": ["data/ingest"],
        },
        "segment": {
            "cmd": "python stages/stage.py segment data/segment",
            "deps": ["data/ingest", "stages/stage.py"],
            "params": ["segment.unit"],
            "outs": ["data/segment"],
        },
    }
}


def command(folder: Path, *arguments: object) -> str:
    environment = os.environ | {"PYTHONPATH": str(SRC), "PATH": f"{DVC.parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    environment |= {"GIT_COMMITTER_EMAIL": "a@b"}
    words = [str(a) for a in arguments]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def template(shared_folder: SharedFolder, mlflow_database: Path) -> Path:
    """A git and DVC repository with two small stages, one commit, and an MLflow store; to be copied."""
    return shared_folder.get("tracked", functools.partial(make_template, mlflow_database))


def make_template(database: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copy(database, folder)
    command(folder, "git", "init", "-q")
    command(folder, DVC, "init", "-q")
    (folder / "data" / "sources").mkdir(parents=True)
    (folder / "data" / "sources" / "a.jsonl").write_text("{}\n")
    (folder / "stages").mkdir()
    (folder / "stages" / "stage.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (folder / ".gitignore").write_text("mlflow.db*\n.stepsift/\n__pycache__/\n/data/ingest\n/data/segment\n")
    (folder / ".dvcignore").write_text("__pycache__\n.stepsift\n")
    command(folder, "git", "add", "-A")
    command(folder, "git", "commit", "-qm", "first")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        tracking.setup(params.Tracking())


@pytest.fixture
def repo(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, and the working directory."""
    folder = shutil.copytree(template, tmp_path / "repo", symlinks=True)
    for name in ("DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    return folder


def settings(**tracked: Any) -> params.Params:
    return params.parse(PARAMS | {"tracking": tracked})


def runs(repo: Path, experiment: str = "stepsift") -> list[Any]:
    """All runs, the oldest first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id], order_by=["start_time ASC"]) if found else []


def children(repo: Path) -> list[Any]:
    return [run for run in runs(repo) if "mlflow.parentRunId" in run.data.tags]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_a_stage_is_a_child_run_with_settings_numbers_and_tags(repo: Path) -> None:
    with tracking.stage("ingest", settings()) as run:
        run.log_metrics({"read": 10, "kept": {"teacher (a)": 7, "b/c": 2}, "name": "x", "none": None})
        for step, loss in enumerate([3.0, 2.0, 1.5], start=1):
            run.log_metric("loss", loss, step=step)
    parent, child = runs(repo)
    assert (child.info.run_name, child.info.status, parent.info.status) == ("ingest", "FINISHED", "FINISHED")
    assert child.data.metrics == {"read": 10, "kept/teacher _a_": 7, "kept/b/c": 2, "loss": 1.5}
    assert child.data.params["ingest.thinking"] == "drop"
    assert child.data.params["ingest.max_depth"] == "64"
    assert not [name for name in child.data.params if not name.startswith("ingest.")]
    head = command(repo, "git", "rev-parse", "HEAD").strip()
    tags = child.data.tags
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert (tags["dvc.stage"], tags["git.commit"], tags["git.dirty"]) == ("ingest", head, "false")
    assert parent.info.run_name == f"{head[:7]}: first"
    assert (tags["mlflow.source.name"], tags["mlflow.source.git.commit"]) == ("stages/stage.py", head)
    assert tags["dvc.cmd"] == "python stages/stage.py ingest data/ingest"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    curve = client.get_metric_history(child.info.run_id, "loss")
    assert [(m.step, m.value) for m in curve] == [(1, 3.0), (2, 2.0), (3, 1.5)]
    assert client.list_artifacts(child.info.run_id) == []


def test_data_are_inputs_by_the_md5_of_dvc_and_code_is_none(repo: Path) -> None:
    with tracking.stage("ingest", settings()):
        pass
    [child] = children(repo)
    inputs = {i.dataset.name: i for i in child.inputs.dataset_inputs}
    file = md5(b"{}\n")
    folder = md5(json.dumps([{"md5": file, "relpath": "a.jsonl"}]).encode()) + ".dir"
    assert {name: i.dataset.digest for name, i in inputs.items()} == {
        "data/sources": folder,
        "data/sources/a.jsonl": file,
    }
    tags = {tag.key: tag.value for tag in inputs["data/sources"].tags}
    assert tags == {"mlflow.data.context": "ingest", "dvc.md5": folder, "dvc.path": "data/sources"}
    assert json.loads(inputs["data/sources"].dataset.source) == {"uri": "data/sources"}


def test_the_pipeline_s_run_says_what_it_ran_with_and_what_came_of_it(repo: Path) -> None:
    (repo / "data" / "ingest").mkdir()
    (repo / "data" / "ingest" / "x").touch()
    for accuracy in (0.25, 0.5):
        with tracking.stage("ingest", settings()) as run:
            run.log_summary({"accuracy": {"chain": {"lalp": accuracy}}, "note": "no number"})
    parent, *stages = runs(repo)
    assert parent.data.metrics == {"accuracy/chain/lalp": 0.5}
    assert [child.data.metrics for child in stages] == [{}, {}]
    assert (parent.data.params["ingest.thinking"], parent.data.params["segment.unit"]) == ("drop", "line")
    assert parent.data.params["train.epochs"] == "3.0"
    sections = {name.partition(".")[0] for name in parent.data.params}
    assert sections == {"student", "ingest", "segment", "score", "select", "train", "evaluate", "report"}
    head = command(repo, "git", "rev-parse", "--short=7", "HEAD").strip()
    branch = command(repo, "git", "branch", "--show-current").strip()
    note = parent.data.tags["mlflow.note.content"]
    assert note == f"Commit `{head}` of branch `{branch}`: first\n\n`git checkout {head} && dvc repro` makes it again."
    assert parent.data.tags["mlflow.source.name"] == "dvc repro"
    # Not data/ingest, which the pipeline makes.
    assert {i.dataset.name for i in parent.inputs.dataset_inputs} == {"data/sources", "data/sources/a.jsonl"}


def test_parameters_are_as_they_are_written(repo: Path) -> None:
    short = PARAMS | {"select": {"selectors": ["lalp", "random"]}, "report": None}
    (repo / "params.yaml").write_text(yaml.safe_dump(short))
    with tracking.stage("ingest", params.parse({k: v for k, v in short.items() if v})):
        pass
    parent, _ = runs(repo)
    assert parent.data.params["select.selectors"] == "['lalp', 'random']"
    assert parent.data.params["select.seed"] == "0"


def test_a_changed_commit_is_named_so_and_a_long_subject_is_cut(repo: Path) -> None:
    command(repo, "git", "commit", "-q", "--allow-empty", "-m", "s" * 70)
    command(repo, "git", "remote", "add", "origin", "https://me:secret@example.org/team/data.git")
    (repo / "new.py").touch()
    with tracking.stage("ingest", settings()):
        pass
    parent, child = runs(repo)
    head = command(repo, "git", "rev-parse", "HEAD").strip()
    assert parent.info.run_name == f"{head[:7]} with changes: {'s' * 59}…"
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith(f"Commit [`{head[:7]}`](https://example.org/team/data/commit/{head}) of branch")
    assert "changes that are in no commit" in note
    assert child.data.tags["mlflow.source.git.repoURL"] == "https://example.org/team/data"
    assert "secret" not in str(parent.data.tags) + str(child.data.tags)


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@example.org:team/data.git", "https://example.org/team/data"),
        ("ssh://git@example.org:2222/team/data", "https://example.org/team/data"),
        ("https://example.org/team/sub/data.git/", "https://example.org/team/sub/data"),
        ("https://user:p@w@example.org/team/data.git", "https://example.org/team/data"),
        ("https://example.org/team/data.git?token=secret", "https://example.org/team/data"),
        ("http://oauth2:secret@example.org:8080/team/data", "http://example.org:8080/team/data"),
        ("/srv/git/data.git", None),
        ("../data", None),
        ("file:///srv/data.git", None),
    ],
)
def test_a_remote_s_web_page(repo: Path, remote: str, url: str | None) -> None:
    assert "url" not in git_story()
    command(repo, "git", "remote", "add", "origin", remote)
    assert git_story().get("url") == url


def test_outside_of_git_there_is_no_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert (git_story(), git_tags([])) == ({}, {})
    tags = source_tags("x.py", {}, {})
    assert {name for name in tags if "git" in name} == set()


def test_an_unknown_user_id_is_no_author(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    assert source_tags("x.py", {}, {})["mlflow.user"]
    monkeypatch.setattr("getpass.getuser", unknown)
    assert "mlflow.user" not in source_tags("x.py", {}, {})


def test_environment_and_code_are_no_data_sets() -> None:
    code = ["src/stepsift/x", "stages/train.py", "scripts/lock.py", "configs/accelerate", "requirements/lock.txt"]
    dependencies = dict.fromkeys([*code, "Dockerfile", "data/x"], "m")
    found = DvcStage("python -P -m stepsift.container.launch train data", dependencies, {}, {}, [], {})
    assert found.data() == {"data/x": "m"}
    assert found.script() == "stepsift.container.launch train"
    assert DvcStage("python -P stages/select.py data", {}, {}, {}, [], {}).script() == "stages/select.py"
    assert DvcStage("make x", {}, {}, {}, [], {}).script() == "make x"


def test_the_page_of_the_runs_is_that_of_the_experiment(repo: Path) -> None:
    from mlflow import MlflowClient

    other = params.Tracking(experiment="other")
    assert tracking.runs_page(other) == "#/experiments/2/runs?workflowType=machine_learning"
    made = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").get_experiment_by_name("other")
    assert made.tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_database_whose_making_was_cut_off_is_made_by_the_next_stage(
    repo: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Tables that are there in part would keep MLflow from making the others, in every stage to come."""
    own = settings(uri="own.db")
    dead = repo / f".tmp-mlflow-{2**22 + 1}-{socket.gethostname()}"
    dead.write_text("tables in part")
    with monkeypatch.context() as cut_off:
        cut_off.setattr("stepsift.core.disk.replace_durably", lambda *_: (_ for _ in ()).throw(OSError("cut off")))
        with tracking.stage("ingest", own):
            pass
    assert "cut off; the stage runs untracked" in caplog.text and not dead.exists()
    with tracking.stage("ingest", own):
        pass
    with contextlib.closing(sqlite3.connect(repo / "own.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (2,)  # the stage's and its pipeline's


def test_the_input_key_changes_with_command_data_code_and_settings_alone(repo: Path) -> None:
    def key() -> str:
        with tracking.stage("ingest", settings()):
            pass
        return children(repo)[-1].data.tags["dvc.input_key"]

    keys = [key()]
    assert key() == keys[0]
    (repo / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"segment": {"unit": "sentence"}}))
    assert key() == keys[0]
    (repo / "params.yaml").write_text(yaml.safe_dump(PARAMS | {"ingest": {"thinking": "keep"}}))
    keys.append(key())
    (repo / "data" / "sources" / "b.jsonl").write_text("{}\n")
    keys.append(key())
    (repo / "stages" / "stage.py").write_text(STAGE + "\n")
    keys.append(key())
    (repo / "dvc.yaml").write_text(
        (repo / "dvc.yaml").read_text().replace("python stages/stage.py ingest", "python3 stages/stage.py ingest")
    )
    keys.append(key())
    assert len(set(keys)) == 5


def test_only_changes_of_the_user_make_a_commit_dirty(repo: Path) -> None:
    def dirty() -> str:
        with tracking.stage("ingest", settings()):
            pass
        return children(repo)[-1].data.tags["git.dirty"]

    (repo / ".gitignore").write_text((repo / ".gitignore").read_text().replace("/data/ingest\n", ""))
    command(repo, "git", "commit", "-qam", "outputs are no longer ignored")
    (repo / "dvc.lock").write_text("schema: '2.0'\n")
    (repo / "data" / "ingest").mkdir()
    (repo / "data" / "ingest" / "x").touch()
    assert dirty() == "false"
    (repo / "new.py").touch()
    assert dirty() == "true"


def test_a_container_has_the_tags_that_it_was_told(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPSIFT_GIT_COMMIT", "c0ffee")
    monkeypatch.setenv("STEPSIFT_GIT_DIRTY", "false")
    assert git_tags([])["git.commit"] != "c0ffee"
    monkeypatch.setenv("STEPSIFT_IMAGE_DIGEST", "sha256:1")
    assert git_tags([]) == {"git.commit": "c0ffee", "git.dirty": "false", "image.digest": "sha256:1"}
    monkeypatch.delenv("STEPSIFT_GIT_DIRTY")
    assert git_tags([]) == {"git.commit": "c0ffee", "image.digest": "sha256:1"}


def test_stages_by_hand_share_a_parent_while_commit_and_settings_stay(repo: Path) -> None:
    (repo / "data" / "ingest").mkdir()
    for name in ("ingest", "segment", "segment"):
        with tracking.stage(name, settings()):
            pass
    assert len({run.data.tags["mlflow.parentRunId"] for run in children(repo)}) == 1
    with tracking.stage("segment", params.parse({})):
        pass
    assert len({run.data.tags["mlflow.parentRunId"] for run in children(repo)}) == 2
    assert [set(run.data.params) for run in children(repo)][1] == {"segment.unit"}


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_stage_that_raises_is_marked_and_its_numbers_stay(error: type, status: str, repo: Path) -> None:
    with pytest.raises(error), tracking.stage("ingest", settings()) as run:
        run.log_metric("read", 1)
        raise error
    parent, child = runs(repo)
    assert (child.info.status, parent.info.status) == (status, status)
    assert child.data.metrics == {"read": 1}
    with tracking.stage("ingest", settings()):
        assert runs(repo)[0].info.status == "RUNNING"


def test_a_curve_longer_than_a_batch_is_whole(repo: Path) -> None:
    with tracking.stage("train", settings()) as run:
        for step in range(2_500):
            run.log_metric("loss", 1.0, step=step)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{repo / 'mlflow.db'}")
    history = client.get_metric_history(children(repo)[0].info.run_id, "loss")
    assert sorted(m.step for m in history) == list(range(2_500))


def test_a_stage_that_dvc_does_not_know_is_tracked_without_inputs(repo: Path, caplog: pytest.LogCaptureFixture) -> None:
    with tracking.stage("train", settings()):
        pass
    assert "DVC cannot say what stage 'train' reads" in caplog.text
    [child] = children(repo)
    assert child.inputs.dataset_inputs == []
    assert child.data.params["train.epochs"] == "3.0"


def test_disabled_tracking_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tracking.stage("ingest", settings(enabled=False)) as run:
        run.log_metrics({"a": {"b": 1}})
        run.log_metric("loss", 1.0, step=3)
    assert list(tmp_path.iterdir()) == []


def _unusable(repo: Path) -> Iterator[str]:
    (repo / "a-folder").mkdir()
    (repo / "text").write_text("no database, and longer than the header of one " * 20)
    yield from ("a-folder", "text", "missing/mlflow.db", "http://127.0.0.1:9", "nosuch://x")


def test_a_store_that_cannot_be_used_is_one_warning_and_the_stage_runs(
    repo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for uri in _unusable(repo):
        caplog.clear()
        ran = False
        with tracking.stage("ingest", settings(uri=uri)) as run:
            run.log_metrics({"a": 1})
            ran = True
        assert ran
        [message] = [
            r.message for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith("stepsift")
        ]
        assert "the stage runs untracked" in message
        assert "\n" not in message
        with pytest.raises(TrackingError, match=r"tracking\.uri is"):
            tracking.setup(params.Tracking(uri=uri))


def test_a_store_that_is_lost_on_the_way_is_one_warning(
    repo: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def lost(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    with tracking.stage("ingest", settings()) as run:
        monkeypatch.setattr(MlflowClient, "log_batch", lost)
        monkeypatch.setattr(MlflowClient, "set_terminated", lost)
        for step in range(3_000):
            run.log_metric("loss", 1.0, step=step)
    messages = [r.message for r in caplog.records if "disk full" in r.message]
    assert len(messages) == 1


def test_the_store_lies_in_the_repository_wherever_a_stage_runs(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_root = f"sqlite:///{repo / 'mlflow.db'}"
    monkeypatch.chdir(repo / "data")
    assert tracking.setup(params.Tracking()) == at_root
    # As in the temporary copy of `dvc exp run --temp`, to which DVC names the real repository.
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(repo))
    assert tracking.setup(params.Tracking()) == at_root
    assert list((tmp_path / "copy").iterdir()) == []
    assert not (repo / "data" / "mlflow.db").exists()


def test_set_up_twice_changes_nothing_and_no_telemetry_is_sent(repo: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

    for _ in range(2):
        tracking.setup(params.Tracking())
    names = [e.name for e in MlflowClient(f"sqlite:///{repo / 'mlflow.db'}").search_experiments()]
    assert sorted(names) == ["Default", "stepsift"]
    assert MLFLOW_DISABLE_TELEMETRY.get() is True


@pytest.mark.system
def test_two_stages_that_start_at_once_on_an_empty_store_share_experiment_and_parent(repo: Path) -> None:
    (repo / "mlflow.db").unlink()
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    both = [
        subprocess.Popen(
            [sys.executable, "stages/stage.py", name, f"data/{name}"], env=environment, stderr=subprocess.PIPE
        )
        for name in ("ingest", "segment")
    ]
    errors = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "untracked" not in "".join(errors)
    assert sorted(run.info.run_name for run in children(repo)) == ["ingest", "segment"]
    assert len(runs(repo)) == 3


@pytest.mark.system
def test_stages_of_one_dvc_repro_share_a_parent_and_another_repro_has_its_own(repo: Path) -> None:
    output = command(repo, DVC, "repro")
    assert "untracked" not in output
    assert "WARNING" not in output
    first = children(repo)
    assert [run.info.run_name for run in first] == ["ingest", "segment"]
    assert len({run.data.tags["mlflow.parentRunId"] for run in first}) == 1
    assert {run.data.tags["git.dirty"] for run in first} == {"false"}
    lock = yaml.safe_load((repo / "dvc.lock").read_text())["stages"]
    for run in first:
        recorded = {
            dep["path"]: dep["md5"] for dep in lock[run.info.run_name]["deps"] if dep["path"] != "stages/stage.py"
        }
        assert {i.dataset.name: i.dataset.digest for i in run.inputs.dataset_inputs} == recorded
    command(repo, DVC, "repro", "-f", "segment")
    again = children(repo)[2:]
    assert again
    assert not {r.data.tags["mlflow.parentRunId"] for r in again} & {r.data.tags["mlflow.parentRunId"] for r in first}


@pytest.mark.system
def test_an_experiment_in_a_temporary_copy_is_tracked_in_the_real_store(repo: Path) -> None:
    command(repo, DVC, "exp", "run", "--temp", "-S", "ingest.thinking=keep")
    assert [run.info.run_name for run in children(repo)] == ["ingest", "segment"]
    assert children(repo)[0].data.params["ingest.thinking"] == "keep"
