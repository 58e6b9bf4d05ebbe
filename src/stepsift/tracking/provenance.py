"""Where a run comes from: what DVC and git know of a stage, and which process is the DVC that runs it."""

import hashlib
import json
import logging
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stepsift import params
from stepsift.core.text import named_error_line

log = logging.getLogger(__name__)

ERROR_CHARS = 500
"""Of an error of MLflow, its database or DVC that a message shows: some hold a whole statement of SQL."""
_NO_DATA = {"src", "stages", "scripts", "configs", "requirements", "Dockerfile"}
_REMOTE = re.compile(
    r"(?:(?P<web>https?://)(?:[^/]*@)?(?P<host>[^/@]+)/|(?:ssh://(?:[^/]*@)?|[^@/:]+@)(?P<ssh_host>[^/:@]+)(?::\d+(?=/))?[/:]/?)"
    r"(?P<path>[^?#]+?)(?:\.git)?/?(?:[?#].*)?"
)


def root() -> Path:
    """The repository: what DVC names to its stages (the real one for a temporary copy), else where .dvc is."""
    here = Path.cwd()
    named = os.environ.get("DVC_ROOT")
    return Path(named) if named else next((p for p in (here, *here.parents) if (p / ".dvc").is_dir()), here)


def dvc_process() -> psutil.Process | None:
    """The process of DVC that runs this stage; None if there is none to be seen."""
    if "DVC_STAGE" not in os.environ:
        return None
    try:
        return next((p for p in psutil.Process().parents() if "DVC_STAGE" not in p.environ()), None)
    except psutil.Error:
        return None


@dataclass(frozen=True)
class DvcStage:
    """What DVC knows of a stage: its command, the MD5 of each dependency (`.dir` behind a folder's), its settings as
    they are in params.yaml, the same with all defaults; of the whole pipeline the outputs, and path and MD5 of the data
    that it starts from."""

    cmd: str
    dependencies: dict[str, str]
    written: dict[str, Any]
    settings: dict[str, Any]
    outputs: list[str]
    sources: dict[str, str]

    def input_key(self) -> str:
        """SHA-256 of all that decides the stage's outputs, as DVC sees it."""
        text = json.dumps([self.cmd, self.dependencies, self.written], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def data(self) -> dict[str, str]:
        """The dependencies that are data: no code, and nothing of the environment that it runs in."""
        return {path: md5 for path, md5 in self.dependencies.items() if _is_data(path)}

    def script(self) -> str:
        """The script that the command runs, or its module with its first argument; else the whole command."""
        words = self.cmd.split()
        if "-m" in words:
            return " ".join(words[words.index("-m") + 1 :][:2])
        return next((word for word in words if word.endswith(".py")), self.cmd)


def dvc_stage(name: str, settings: params.Params) -> DvcStage:
    """Read the stage through DVC's own API: it hashes gigabytes once, and keeps what it hashed in its own database."""
    everything = settings.model_dump(mode="json")
    try:
        from dvc.dependency.param import ParamsDependency
        from dvc.repo import Repo

        # It would show a bar for every file that it looks at; what is wrong it raises.
        logging.getLogger("dvc").setLevel(logging.CRITICAL)
        with Repo() as repo:
            stage = repo.stage.load_one(name=name)
            sections = [d for d in stage.deps if isinstance(d, ParamsDependency)]
            files = {d.def_path: str(d.get_hash().value) for d in stage.deps if not isinstance(d, ParamsDependency)}
            sections_named = [n for d in sections for n in d.params]
            written = {k: v for d in sections for k, v in d.read_params().items()}
            # Those of stages: a file that DVC merely tracks is where the pipeline starts.
            outputs = [out.def_path for out in repo.index.outs if not out.stage.is_data_source]
            given = {d.def_path: d for d in repo.index.deps if not isinstance(d, ParamsDependency) and d.exists}
            made = [Path(path) for path in outputs]
            names = [p for p in given if _is_data(p) and not any(Path(p).is_relative_to(m) for m in made)]
            sources = {path: str(given[path].get_hash().value) for path in sorted(names)}
    except Exception as e:  # DVC raises errors of many libraries, and none of them is worth a stage
        reason = named_error_line(e, ERROR_CHARS)
        log.warning("MLflow: DVC cannot say what stage '%s' reads (%s); its run has no inputs", name, reason)
        return DvcStage(name, {}, {}, {name: everything.get(name)}, [], {})
    return DvcStage(stage.cmd, files, written, {n: _at(everything, n) for n in sections_named}, outputs, sources)


VARIABLES = {
    "git.commit": "STEPSIFT_GIT_COMMIT",
    "git.dirty": "STEPSIFT_GIT_DIRTY",
    "image.digest": "STEPSIFT_IMAGE_DIGEST",
}
"""Tags to the environment variables in which a container is told what it cannot see."""


def git_tags(outputs: list[str]) -> dict[str, str]:
    """Commit, and whether anything but the pipeline's own outputs differs from it; nothing without git.

    A stage that runs in a container, where there is no git, has what it was told, and the image's digest.
    """
    if "STEPSIFT_IMAGE_DIGEST" in os.environ:
        return {tag: os.environ[name] for tag, name in VARIABLES.items() if name in os.environ}

    others = [f":(top,exclude){path}" for path in ("dvc.lock", *outputs)]
    head, changes = _git("rev-parse", "--verify", "HEAD"), _git("status", "--porcelain", "--", ":/", *others)
    return {} if head is None or changes is None else {"git.commit": head, "git.dirty": str(bool(changes)).lower()}


def git_story() -> dict[str, str]:
    """What people know a commit by: `subject`, `branch`, and `url`, the web page of the remote 'origin'.

    Of these, what there is; a remote's address may hold a password or a token, and only host and path of it are used.
    """
    remote = _REMOTE.fullmatch(_git("remote", "get-url", "origin") or "")
    story = {
        "subject": _git("log", "-1", "--format=%s"),
        "branch": _git("branch", "--show-current"),
        "url": f"{remote['web'] or 'https://'}{remote['host'] or remote['ssh_host']}/{remote['path']}"
        if remote
        else None,
    }
    return {name: text for name, text in story.items() if text}


def experiment_tags() -> dict[str, str]:
    """The name of the DVC experiment that runs this stage; nothing outside of one."""
    name = os.environ.get("DVC_EXP_NAME")
    return {"dvc.experiment": name} if name else {}


def _git(*arguments: str) -> str | None:
    """Standard output of git, None where it fails or there is none."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    # Git takes commit messages in any encoding, and in none.
    return done.stdout.decode("utf-8", "replace").strip()


def _is_data(path: str) -> bool:
    return Path(path).parts[0] not in _NO_DATA


def _at(nested: dict[str, Any], path: str) -> Any:
    for name in path.split("."):
        nested = nested[name]
    return nested
