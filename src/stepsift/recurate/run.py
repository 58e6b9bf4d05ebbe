#!/usr/bin/env python3
"""Run the pipeline on what is committed, and propose its results as a branch. CI calls it; so may anybody.

    src/stepsift/recurate/run.py [--remote origin] [--text FILE] [--pull-request] [--base main]

Data come and go before anything is committed: pull, check, warm the caches, `dvc repro`, push, and only then a commit
of dvc.lock and the metrics on `recurate/<id>`. The id is that of the inputs (stepsift.recurate.identifier) and the
commit has the date of the one that it rests on, so that a second run on the same inputs makes the same commit. The
branch that is checked out is left as it is.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from stepsift.core import console
from stepsift.recurate import check_lock
from stepsift.recurate import proposal as recurate
from stepsift.recurate.commits import BRANCHES, commit_of, fetch, git, output, publish_charts, push, tree_with
from stepsift.recurate.proposal import RecurationError
from stepsift.recurate.pull_requests import propose

PNG_FILES = Path("report/charts")
"""Charts that the stage report writes."""
WARM_BRANCHES = 3
"""Proposals that are not merged yet, newest first, from which caches are filled too."""


def main() -> None:
    """One run, the only one in this clone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--remote", default="origin", help="git's remote (default: %(default)s)")
    parser.add_argument("--text", type=Path, default=Path(".stepsift/recurate.md"), help="file for the text")
    parser.add_argument("--pull-request", action="store_true", help="open or update a pull request by `gh`")
    parser.add_argument("--base", default="main", help="branch that a pull request is for (default: %(default)s)")
    args = parser.parse_args()
    os.chdir(git("rev-parse", "--show-toplevel"))
    needed = ["dvc", "stepsift"] + ["gh"] * args.pull_request
    if lacking := [name for name in needed if shutil.which(name) is None]:
        raise RecurationError(f"there is no {', '.join(lacking)} on the PATH; activate the virtual environment")
    Path(".stepsift").mkdir(exist_ok=True)
    try:
        with FileLock(".stepsift/recurate.lock", timeout=0):
            run(args)
    except Timeout:
        raise RecurationError(
            "another re-curation runs in this clone; wait for it, or use a clone of your own"
        ) from None
    except check_lock.CheckError as e:
        raise RecurationError(f"{e}; nothing was committed") from e


def run(args: argparse.Namespace) -> None:
    """All steps in their order."""
    paths = generated()
    begin(args.remote, paths)
    before = lock()
    call("dvc", "pull", "--force", "--run-cache")
    in_remote()
    call("stepsift", "check")
    notes = warm(args.remote) if before else []
    call("dvc", "repro", "--pull")
    tree = tree_with(paths)
    if tree == git("rev-parse", "HEAD^{tree}"):
        say("nothing changed: dvc.lock and the metrics are what is committed")
        return
    call(sys.executable, str(Path(__file__).with_name("push_runs.py")))
    in_remote()
    identifier = recurate.identifier(lock())
    branch = f"{BRANCHES}/{identifier}"
    base = git("show", "-s", "--format=%h %s", "HEAD")
    args.text.parent.mkdir(parents=True, exist_ok=True)
    charts = publish_charts(PNG_FILES, identifier, args.remote)
    args.text.write_text(recurate.markdown(told(base, branch, before, charts, notes)), encoding="utf-8")
    commit = commit_of(tree, f"Re-curate {base}", "HEAD")
    push(commit, branch, args.remote)
    say(f"{branch} is {commit}; {args.text} has the text")
    if args.pull_request:
        for line in propose(branch, args.base, f"Re-curate {base}", args.text, args.remote):
            say(line)


def generated() -> list[str]:
    """Files that `dvc repro` writes and git holds: dvc.lock, and outputs that are not in DVC's cache."""
    from dvc.repo import Repo

    with Repo() as repo:
        outs = [Path(o.fs_path).relative_to(repo.root_dir).as_posix() for o in repo.index.outs if not o.use_cache]
    return sorted({"dvc.lock", *outs})


def begin(remote: str, paths: list[str]) -> None:
    """Fetch, and bring the work tree to the state of HEAD; what is not committed stops the run."""
    changed = [line[3:] for line in git("status", "--porcelain", "--untracked-files=all", strip=False).splitlines()]
    if others := [p for p in changed if p not in paths]:
        raise RecurationError(
            f"{', '.join(others[:3])} and {len(others)} in all are not as committed; commit them first"
        )
    for file, changes in check_lock.dvc_json("status").items():
        if file.endswith(".dvc") and "'modified'" in str(changes):
            raise RecurationError(f"a file is not what {file} says of it; 'dvc checkout {file}', or add and commit it")
    fetch(remote)
    # What a killed run left; its stages that were finished come from the run cache.
    if tracked := git("ls-files", "--", *paths).splitlines():
        git("checkout", "--quiet", "HEAD", "--", *tracked)
    git("clean", "--quiet", "--force", "--", *paths)


def warm(remote: str) -> list[str]:
    """Fill the caches from the last run and from the latest proposals; a sentence where that did not work."""
    refs = f"refs/remotes/{remote}/{BRANCHES}"
    found = git("for-each-ref", "--sort=-committerdate", f"--count={WARM_BRANCHES}", "--format=%(refname)", refs)
    notes = []
    for rev in ["HEAD", *found.splitlines()]:
        if subprocess.run(["stepsift", "cache", "warm", "--rev", rev], check=False).returncode:
            notes.append(f"the caches could not be filled from {rev.removeprefix('refs/remotes/')}")
    return notes


def in_remote() -> None:
    """Raise RecurationError where the remote does not hold all that dvc.lock and .dvc files name."""
    if lacking := check_lock.missing(check_lock.read_outs()):
        raise RecurationError("\n".join([*lacking, "nothing was committed"]))


def lock() -> dict[str, Any]:
    """Content of dvc.lock; empty where there is none yet."""
    path = Path("dvc.lock")
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def told(
    base: str, branch: str, before: dict[str, Any], charts: list[tuple[str, str]], notes: list[str]
) -> recurate.Proposal:
    """What the text says, from the commands that know it."""
    if not before:
        notes = [*notes, "this is the first run of the pipeline: there is nothing to compare it with"]
        return recurate.Proposal(base, branch, recurate.input_changes({}, lock()), charts=charts, notes=notes)
    changes = recurate.input_changes(before, lock())
    since = git("log", "-1", "--format=%H", "HEAD", "--", "dvc.lock")
    dependencies = [name for name, _, _ in changes if Path(name).exists()]
    diff = ("diff", "--name-status", since, "HEAD", "--", *dependencies)
    sets = subprocess.run(["stepsift", "diff", "HEAD", "--markdown"], capture_output=True, text=True, check=False)
    if sets.returncode:
        notes = [*notes, f"the curated sets cannot be compared: {sets.stderr}"]
    return recurate.Proposal(
        base,
        branch,
        changes,
        commits=git("log", "--format=%h %s", f"{since}..HEAD").splitlines(),
        files=git(*diff).splitlines() if dependencies else [],
        sets=sets.stdout.replace("`HEAD` -> `the working folder`", f"`{base.split(maxsplit=1)[0]}` -> this branch"),
        metrics=json.loads(output("dvc", "metrics", "diff", "--json", "HEAD") or "{}"),
        charts=charts,
        notes=notes,
    )


def say(line: str) -> None:
    """A line on standard output, at once."""
    print(f"recurate: {line}", flush=True)


def call(*command: str) -> None:
    """Run a command that speaks for itself; raises RecurationError where it fails."""
    say(" ".join(command))
    if code := subprocess.run(command, check=False).returncode:
        raise RecurationError(
            f"'{' '.join(command[:2])}' failed with exit code {code}, see above; no branch was changed"
        )


if __name__ == "__main__":
    console.run(main)
