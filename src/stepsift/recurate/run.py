"""Run the pipeline on what is committed, and propose its results as a branch.

Data come and go before anything is committed: pull, check, warm the caches, `dvc repro`, push, and only then a commit
of dvc.lock and the metrics on `recurate/<id>`. The id is that of the inputs (proposal.identifier) and the commit has
the date of the one that it rests on, so that a second run on the same inputs makes the same commit. The branch that is
checked out is left as it is.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stepsift.core.text import count
from stepsift.lineage.lock import stages_of
from stepsift.recurate import check_lock
from stepsift.recurate.commits import BRANCHES, commit_of, fetch, git, output, publish_charts, push, tree_with
from stepsift.recurate.proposal import Proposal, RecurationError, identifier, input_changes, markdown, title
from stepsift.recurate.pull_requests import propose

PNG_FILES = Path("report/charts")
"""Charts that the stage report writes."""
WARM_BRANCHES = 3
"""Proposals that are not merged yet, newest first, from which caches are filled too."""
LOCK = Path("dvc.lock")


@dataclass(frozen=True)
class Order:
    """What is to be done: git's remote, the file for the text, and the branch that a pull request is for, if any."""

    remote: str
    text: Path
    base: str | None


@dataclass(frozen=True)
class Proposed:
    """The branch that was pushed and its commit."""

    branch: str
    commit: str


def recurate(order: Order, say: Callable[[str], None]) -> Proposed | None:
    """One run, the only one in this clone; None where nothing changed. `say` gets a line per step as it begins.

    Raises RecurationError where a step fails: nothing was committed then.
    """
    os.chdir(git("rev-parse", "--show-toplevel"))
    needed = ["dvc", "stepsift"] + ["gh"] * (order.base is not None)
    if absent := [name for name in needed if shutil.which(name) is None]:
        raise RecurationError(f"there is no {', '.join(absent)} on the PATH; activate the virtual environment")
    Path(".stepsift").mkdir(exist_ok=True)
    try:
        with FileLock(".stepsift/recurate.lock", timeout=0):
            return _steps(order, say)
    except Timeout:
        raise RecurationError(
            "another re-curation runs in this clone; wait for it, or use a clone of your own"
        ) from None
    except check_lock.CheckError as e:
        raise RecurationError(f"{e}; nothing was committed") from e


def _steps(order: Order, say: Callable[[str], None]) -> Proposed | None:
    """All steps in their order."""
    paths = generated()
    begin(order.remote, paths)
    before = read_lock()
    call(say, "dvc", "pull", "--force", "--run-cache")
    in_remote()
    call(say, "stepsift", "check")
    notes = warm(order.remote) if before else []
    call(say, "dvc", "repro", "--pull")
    tree = tree_with(paths)
    if tree == git("rev-parse", "HEAD^{tree}"):
        say("nothing changed: dvc.lock and the metrics are what is committed")
        return None
    call(say, sys.executable, "-m", "stepsift.recurate.push_runs")
    in_remote()
    name = identifier(read_lock())
    branch = f"{BRANCHES}/{name}"
    base = git("show", "-s", "--format=%h %s", "HEAD")
    order.text.parent.mkdir(parents=True, exist_ok=True)
    charts = publish_charts(PNG_FILES, name, order.remote)
    order.text.write_text(markdown(proposal(base, branch, before, charts, notes)), encoding="utf-8")
    commit = commit_of(tree, title(base), "HEAD")
    push(commit, branch, order.remote)
    say(f"{branch} is {commit}; {order.text} has the text")
    if order.base is not None:
        for line in propose(branch, order.base, title(base), order.text, order.remote):
            say(line)
    return Proposed(branch, commit)


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
        named = ", ".join(others[:3]) + (f" and {count(len(others) - 3, 'more file')}" if len(others) > 3 else "")
        are, them = ("is", "it") if len(others) == 1 else ("are", "them")
        raise RecurationError(f"{named} {are} not as committed; commit {them} first")
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
    latest = git("for-each-ref", "--sort=-committerdate", f"--count={WARM_BRANCHES}", "--format=%(refname)", refs)
    revs = ["HEAD", *latest.splitlines()]
    if not subprocess.run(["stepsift", "cache", "warm", "--rev", *revs], stdout=sys.stderr, check=False).returncode:
        return []
    named = ", ".join(rev.removeprefix("refs/remotes/") for rev in revs)
    return [f"the caches could not be filled from all that was asked for ({named}); the log says why"]


def in_remote() -> None:
    """Raise RecurationError where the remote does not hold all that dvc.lock and .dvc files name."""
    if absent := check_lock.missing(check_lock.read_outs()):
        raise RecurationError("\n".join([*absent, "nothing was committed"]))


def read_lock() -> dict[str, Any]:
    """Content of dvc.lock; empty where there is none yet. Raises LineageError if it is broken."""
    return {"stages": stages} if (stages := stages_of(LOCK)) else {}


def proposal(
    base: str, branch: str, before: dict[str, Any], charts: list[tuple[str, str]], notes: list[str]
) -> Proposal:
    """What the text says, from the commands that know it."""
    if not before:
        notes = [*notes, "this is the first run of the pipeline: there is nothing to compare it with"]
        return Proposal(base, branch, input_changes({}, read_lock()), charts=charts, notes=notes)
    changes = input_changes(before, read_lock())
    since = git("log", "-1", "--format=%H", "HEAD", "--", "dvc.lock")
    dependencies = [name for name, _, _ in changes if Path(name).exists()]
    diff = ("diff", "--name-status", since, "HEAD", "--", *dependencies)
    sets = subprocess.run(["stepsift", "diff", "HEAD", "--markdown"], capture_output=True, text=True, check=False)
    if sets.returncode:
        notes = [*notes, f"the curated sets cannot be compared: {sets.stderr}"]
    return Proposal(
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


def call(say: Callable[[str], None], *command: str) -> None:
    """Run a command that speaks for itself; raises RecurationError where it fails."""
    say(" ".join(command))
    # Standard output is for what the command itself answers.
    if code := subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise RecurationError(
            f"'{' '.join(command[:2])}' failed with exit code {code}, see above; no branch was changed"
        )
