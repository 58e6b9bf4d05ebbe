"""Does dvc.lock describe what is committed, and does the remote hold what it names? Needs no data, only git's files.

    python -m stepsift.recurate.check_lock [--no-remote | --remote-only] [--json]

Exit code 0: yes to both. 1: no, with a sentence for each stage. 2: it cannot be determined, with one that says why.

`dvc repro --dry --allow-missing` exits with 0 in a clone without data although its first stage changed, so no exit code
of DVC decides here. `dvc status --json` does, without what only says that data were not pulled; and
`dvc data status --not-in-remote --json`.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stepsift.core.errors import LineageError, SourceError
from stepsift.core.text import error_line, json_text, terminal_line
from stepsift.lineage.lock import stages_of
from stepsift.sources.dvc_file import held_data

LOCK = Path("dvc.lock")
NOT_PULLED = ("deleted", "not in cache")


class CheckError(Exception):
    """It cannot be determined whether dvc.lock fits."""


@dataclass(frozen=True)
class Outs:
    """Paths of what DVC holds, each with its stage or .dvc file; outputs that git holds are not among them."""

    stages: Mapping[str, str]

    def holds(self, path: str) -> bool:
        """Whether a path is one of them or lies below one."""
        return any(str(p) in self.stages for p in (PurePosixPath(path), *PurePosixPath(path).parents))


def main() -> int:
    """Print what does not fit; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--no-remote", action="store_true", help="do not ask the remote, which needs its credentials")
    part.add_argument("--remote-only", action="store_true", help="ask the remote, and nothing else")
    parser.add_argument("--json", action="store_true", help="answer in JSON, on standard output")
    args = parser.parse_args()
    try:
        # Before DVC, which says of a broken one no more than in which line.
        stages_of(LOCK)
        outs = read_outs()
        outdated = [] if args.remote_only else stale(dvc_json("status"), outs, LOCK)
        lacking = [] if args.no_remote else missing(outs)
    except (CheckError, LineageError, SourceError) as e:
        sys.stderr.write(f"error: {terminal_line(error_line(e))}\n")
        return 2
    if args.json:
        sys.stdout.write(json_text({"stale": outdated, "missing": lacking}) + "\n")
    else:
        fits = ["dvc.lock fits"] * (not args.remote_only) + ["the remote holds what it names"] * (not args.no_remote)
        # Names of files are anybody's, and what a CI service logs may be a command to it.
        sys.stdout.writelines(f"{terminal_line(line)}\n" for line in [*outdated, *lacking] or [" and ".join(fits)])
    return 1 if outdated or lacking else 0


def read_outs() -> Outs:
    """What the repository in the working folder says of its outs; raises CheckError where it cannot be read."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            root = Path(repo.root_dir)
            cached = (o for o in repo.index.outs if o.use_cache)
            return Outs({Path(o.fs_path).relative_to(root).as_posix(): o.stage.addressing for o in cached})
    except DvcException as e:
        raise CheckError(f"DVC cannot read the repository: {e}") from e


def stale(status: Mapping[str, list[Any]], outs: Outs, lock: Path) -> list[str]:
    """A sentence for each stage that dvc.lock does not describe as it is; `status` is what `dvc status --json` says."""
    folders = _folder_hashes(lock)
    sentences = []
    for stage, changes in sorted(status.items()):
        reasons = []
        for change in changes:
            if isinstance(change, str):
                reasons.append(change)
                continue
            for kind, paths in change.items():
                reasons += _reasons(kind, paths, outs, folders)
        if reasons:
            advice = "'stepsift add' or 'dvc add' it" if stage.endswith(".dvc") else "run 'dvc repro', 'dvc push'"
            sentences.append(f"stage '{stage}': {', '.join(reasons)}; {advice} and commit what that changes")
    return sentences


def _reasons(kind: str, paths: Mapping[str, Any], outs: Outs, folders: Mapping[str, str]) -> Iterator[str]:
    what = "output " if kind == "changed outs" else ""
    for path, state in paths.items():
        if isinstance(state, dict):
            yield from (f"{path}: {key} is {how}" for key, how in state.items())
        elif state in NOT_PULLED and outs.holds(path):
            continue
        elif state == "modified" and folders.get(path) and folders[path] == folder_md5(Path(path)):
            # DVC takes a folder whose files were not pulled for a changed one.
            continue
        else:
            yield f"{what}{path} is {state}"


def _folder_hashes(lock: Path) -> dict[str, str]:
    """Path of each folder that a stage depends on to its MD5, as dvc.lock has it."""
    deps = (dep for stage in stages_of(lock).values() for dep in stage.get("deps", []))
    return {dep["path"]: dep["md5"] for dep in deps if str(dep.get("md5", "")).endswith(".dir")}


def folder_md5(folder: Path) -> str:
    """MD5 that DVC would give a folder if all files that its .dvc files name were there, `.dir` behind it.

    The MD5 of the JSON of relative paths and MD5s, in the order of the paths' parts (dvc_data.hashfile.tree). A .dvc
    file that names a whole folder is left out: its list of files lies in the remote. Raises SourceError for a .dvc
    file that is broken.
    """
    md5s = {p: _md5(p) for p in folder.rglob("*") if p.is_file()}
    for path in [p for p in md5s if p.suffix == ".dvc"]:
        for out in held_data(path.read_text(encoding="utf-8"), str(path)):
            if out.md5 and not out.md5.endswith(".dir"):
                md5s.setdefault(path.parent / out.path, out.md5)
    entries = sorted((p.relative_to(folder), md5) for p, md5 in md5s.items())
    listed = [{"md5": md5, "relpath": p.as_posix()} for p, md5 in entries]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "md5").hexdigest()


def missing(outs: Outs) -> list[str]:
    """A sentence for each stage or .dvc file of which the default remote lacks something."""
    from dvc.repo import Repo

    with Repo() as repo:
        if not repo.config["core"].get("remote"):
            raise CheckError("there is no default remote to ask; 'dvc remote add -d NAME URL' makes one")
    status = dvc_json("data", "status", "--not-in-remote", "--granular")
    return lacking(status.get("not_in_remote", []), outs)


def lacking(paths: Iterable[str], outs: Outs) -> list[str]:
    """The same, from the paths that DVC says are not in the remote."""
    by_stage: dict[str, list[str]] = {}
    for path in paths:
        plain = PurePosixPath(path)
        owner = next((outs.stages[str(p)] for p in (plain, *plain.parents) if str(p) in outs.stages), "dvc.lock")
        by_stage.setdefault(owner, []).append(str(plain))
    return [
        f"stage '{stage}': the remote lacks {', '.join(sorted(lacks)[:3])}{' ...' * (len(lacks) > 3)} "
        f"({len(lacks)} in all); run 'dvc push' where it was made"
        for stage, lacks in sorted(by_stage.items())
    ]


def dvc_json(*command: str) -> dict[str, Any]:
    """The answer of a command of DVC; raises CheckError with what it said where it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = " ".join((done.stderr or done.stdout).split())
        raise CheckError(f"'dvc {' '.join(command)}' failed: {message}")
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    return answer


if __name__ == "__main__":
    sys.exit(main())
