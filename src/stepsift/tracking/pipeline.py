"""The parent run of a pipeline: who ran it, from which commit, with which settings, and what came of it."""

import contextlib
import getpass
import hashlib
import socket
from pathlib import Path
from typing import Any

from stepsift import params
from stepsift.core import bounded_yaml
from stepsift.tracking.provenance import dvc_process, git_story
from stepsift.tracking.values import log_inputs, log_params

_PIPELINE = "stepsift.pipeline"
_CLOCK_SLACK_S = 5.0
_MOST_SUBJECT_CHARS = 60
_IDLE_SECTIONS = {"audition", "tracking"}
"""Of params.yaml, that no stage's outputs depend on."""


def parent(
    client: Any, experiment: str, settings: params.Params, commit: dict[str, str], sources: dict[str, str]
) -> str:
    """The id of the pipeline's run, made by the first stage that asks and running again while a stage does.

    `commit` are the tags of `provenance.git_tags` and `experiment_tags`, `sources` path and MD5 of what the pipeline
    starts from.
    """
    process = dvc_process()
    if process is None:
        key = f"{commit.get('git.commit')} {settings.model_dump_json()}"
        name, since_ms = f"by hand: {hashlib.sha256(key.encode()).hexdigest()[:16]}", 0.0
    else:
        name = f"{socket.gethostname()}: dvc process {process.pid}"
        since_ms = (process.create_time() - _CLOCK_SLACK_S) * 1000
    runs = client.search_runs(
        [experiment], f"tags.`{_PIPELINE}` = '{name}'", order_by=["start_time DESC"], max_results=1
    )
    if runs and runs[0].info.start_time >= since_ms:
        client.update_run(runs[0].info.run_id, status="RUNNING")
        return runs[0].info.run_id
    story = git_story()
    tags = commit | source_tags("dvc repro", commit, story) | {_PIPELINE: name}
    tags["mlflow.note.content"] = _description(commit, story)
    run_id = client.create_run(experiment, tags=tags, run_name=_title(commit, story)).info.run_id
    known = settings.model_dump(mode="json", exclude=_IDLE_SECTIONS)
    log_params(client, run_id, known, {name: section for name, section in _written().items() if name in known})
    log_inputs(client, run_id, "pipeline", sources)
    return run_id


def source_tags(name: str, commit: dict[str, str], story: dict[str, str]) -> dict[str, str]:
    """What MLflow's pages show as source and author of a run; `name` is a script or a command."""
    tags = {"mlflow.source.name": name, "mlflow.source.type": "LOCAL"}
    known = {"commit": commit.get("git.commit"), "branch": story.get("branch"), "repoURL": story.get("url")}
    tags |= {f"mlflow.source.git.{key}": value for key, value in known.items() if value}
    with contextlib.suppress(KeyError, OSError):  # a user id without a name, as in a container
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _written() -> dict[str, Any]:
    """params.yaml as it stands; a section that is empty there says nothing."""
    path = Path("params.yaml")
    raw = bounded_yaml.load(path) if path.is_file() else {}
    return {name: section for name, section in raw.items() if isinstance(section, dict)}


def _title(commit: dict[str, str], story: dict[str, str]) -> str:
    changed = " with changes" if commit.get("git.dirty") == "true" else ""
    of = commit.get("dvc.experiment") or commit.get("git.commit", "")[:7] + changed
    subject = story.get("subject", "")
    short = subject if len(subject) <= _MOST_SUBJECT_CHARS else f"{subject[: _MOST_SUBJECT_CHARS - 1]}…"
    # MLflow's table shows the first dozen characters.
    return f"{of}: {short}" if short else f"pipeline {of}".rstrip()


def _description(commit: dict[str, str], story: dict[str, str]) -> str:
    """Markdown: the commit, and how to make the run's outputs again."""
    sha = commit.get("git.commit")
    if sha is None:
        return "Of no git commit."
    link = f"[`{sha[:7]}`]({story['url']}/commit/{sha})" if "url" in story else f"`{sha[:7]}`"
    branch = f" of branch `{story['branch']}`" if "branch" in story else ""
    if name := commit.get("dvc.experiment"):
        again = f"`dvc exp apply {name}` brings its settings and outputs back."
    elif commit.get("git.dirty") == "true":
        again = "Run with changes that are in no commit; the parameters below are those that it ran with."
    else:
        again = f"`git checkout {sha[:7]} && dvc repro` makes it again."
    return f"Commit {link}{branch}: {story.get('subject', 'no subject known')}\n\n{again}"
