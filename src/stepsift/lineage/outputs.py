"""The second link: is everything that `dvc.lock` names as it says? DVC answers, with every file hashed anew."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from stepsift.core.errors import LineageError
from stepsift.core.text import count
from stepsift.lineage.check_result import CheckResult
from stepsift.lineage.lock import Lock

_WORDS = {"modified": "was changed", "deleted": "is missing", "added": "is new", "new": "is new"}


def check_outputs(lock: Lock) -> list[CheckResult]:
    """Two links: the outputs file by file, and what the stages ran on: commands, parameters, code and other inputs.

    Runs in the repository's root folder. Raises LineageError where DVC cannot answer.
    """
    # DVC trusts a file whose time and size are as before; with an empty memory it reads each of them.
    with tempfile.TemporaryDirectory() as memory:
        data = _dvc("data", "status", "--granular", memory=memory)
        stages = _dvc("status", memory=memory)
    # A stage that was never run is no broken link; what is added by hand has a file of its own.
    stages = {name: changes for name, changes in stages.items() if name in lock or name.endswith(".dvc")}
    outputs = _outputs(data, stages)
    n_outs = sum(len(lock.outs(stage)) for stage in lock.stages)
    return [
        CheckResult(
            "outputs",
            f"{count(n_outs, 'output')} of {count(len(lock.stages), 'stage')}: as dvc.lock has them",
            tuple(outputs.values()),
        ),
        CheckResult(
            "stages", "commands, parameters, code and inputs: as dvc.lock has them", tuple(_inputs(stages, outputs))
        ),
    ]


def _dvc(*command: str, memory: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command, "--json"],
        env=os.environ | {"DVC_SITE_CACHE_DIR": memory, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        message = " ".join((done.stderr or done.stdout).split())
        raise LineageError(f"'dvc {' '.join(command)}' cannot answer: {message}; run it by hand") from None
    return answer


def _outputs(data: dict[str, Any], stages: dict[str, Any]) -> dict[str, str]:
    """Path to what is wrong with it: single files where DVC knows them, else their folder."""
    findings: dict[str, str] = {}
    uncommitted = data.get("uncommitted", {})
    for kind, paths in uncommitted.items():
        findings |= {path: f"{path} {_WORDS[kind]}" for path in paths if kind in _WORDS}
    for pair in uncommitted.get("renamed", []):
        findings[pair["old"]] = f"{pair['old']} is missing"
        findings[pair["new"]] = f"{pair['new']} is new"
    # A folder is named for its files, where there are any.
    findings = {
        p: w for p, w in findings.items() if not (p.endswith("/") and any(o != p and o.startswith(p) for o in findings))
    }
    for path, state in _changed(stages, "changed outs"):
        if state in _WORDS and not _covered(path, findings):
            findings[path] = f"{path} {_WORDS[state]}"
    return dict(sorted(findings.items()))


def _inputs(stages: dict[str, Any], outputs: dict[str, str]) -> list[str]:
    """What stages ran on and differs now; not what the outputs' link says already."""
    findings = []
    for path, state in _changed(stages, "changed deps"):
        if isinstance(state, dict):
            findings += [f"{key} of {path} {_WORDS.get(how, how)}" for key, how in sorted(state.items())]
        elif not _covered(path, outputs):
            findings.append(f"{path} {_WORDS.get(state, state)}")
    for stage, changes in stages.items():
        findings += [f"the command of stage {stage} was changed" for c in changes if c == "changed command"]
    return [f"{what} since the pipeline ran" for what in dict.fromkeys(findings)]


def _changed(stages: dict[str, Any], kind: str) -> list[tuple[str, Any]]:
    """(path, state) of all stages' changes of a kind."""
    return [
        entry
        for changes in stages.values()
        for change in changes
        if isinstance(change, dict)
        for entry in change.get(kind, {}).items()
    ]


def _covered(path: str, findings: dict[str, str]) -> bool:
    """Whether something was noted at, below or above a path."""
    own = path.rstrip("/")
    return any(
        o == own or o.startswith(f"{own}/") or own.startswith(f"{o}/") for o in (p.rstrip("/") for p in findings)
    )
