"""Commits and branches of `stepsift recurate`, made beside the index and the branch that is checked out."""

import os
import subprocess
import tempfile
from pathlib import Path

from stepsift.recurate.proposal import RecurationError

NAME, EMAIL = "stepsift recurate", "recurate@stepsift.invalid"
BRANCHES, CHARTS = "recurate", "recurate-charts"


def output(*command: str, env: dict[str, str] | None = None, given: str | None = None, strip: bool = True) -> str:
    """What a command answers; raises RecurationError where it fails."""
    env = os.environ | (env or {})
    # Git takes commit messages in any encoding, and in none.
    done = subprocess.run(
        command, env=env, input=given, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        message = " ".join(done.stderr.split())
        raise RecurationError(f"'{' '.join(command[:2])}' failed: {message}; mend that and run again")
    return done.stdout.strip() if strip else done.stdout


def git(*command: str, strip: bool = True) -> str:
    """What git answers."""
    return output("git", *command, strip=strip)


def tree_with(paths: list[str]) -> str:
    """The tree of HEAD with these files as they are now; those that are neither there nor in HEAD are left out."""
    present = [p for p in paths if Path(p).exists() or git("ls-files", "--", p)]
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": f"{folder}/index"}
        output("git", "read-tree", "HEAD", env=env)
        output("git", "add", "--all", "--", *present, env=env)
        return output("git", "write-tree", env=env)


def commit_of(tree: str, message: str, parent: str | None = None) -> str:
    """A commit without a branch, dated as HEAD is; the same arguments make the same commit."""
    date = git("show", "-s", "--format=%cI", "HEAD")
    env: dict[str, str] = {}
    for who in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{who}_NAME": NAME, f"GIT_{who}_EMAIL": EMAIL, f"GIT_{who}_DATE": date}
    parents = ["-p", parent] if parent else []
    return output("git", "commit-tree", *parents, "-m", message, tree, env=env)


def fetch(remote: str) -> None:
    """Fetch the branches of all proposals, and forget those that are no more."""
    refs = f"+refs/heads/{BRANCHES}/*:refs/remotes/{remote}/{BRANCHES}/*"
    git("fetch", "--quiet", "--prune", remote, refs)


def theirs_of(branch: str, remote: str) -> str:
    """The remote's commit of a branch as last fetched; empty where it has none."""
    return git("for-each-ref", "--format=%(objectname)", f"refs/remotes/{remote}/{branch}")


def push(commit: str, branch: str, remote: str) -> None:
    """Push, unless the branch moved since `fetch` to something else, or holds the work of others.

    Raises RecurationError in both cases.
    """
    remote_head = theirs_of(branch, remote)
    if remote_head and any(email != EMAIL for email in git("log", "--format=%ce", f"HEAD..{remote_head}").split()):
        raise RecurationError(
            f"{branch} holds commits that are not of this script; merge it, or delete it, and run again"
        )
    lease = f"--force-with-lease=refs/heads/{branch}:{remote_head}"
    command = ["git", "push", "--quiet", lease, remote, f"{commit}:refs/heads/{branch}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        fetch(remote)
        # Another run may have been quicker with the same content.
        if theirs_of(branch, remote) != commit:
            raise RecurationError(f"{branch} was not pushed: {' '.join(done.stderr.split())}; run again")


def publish_charts(folder: Path, identifier: str, remote: str) -> list[tuple[str, str]]:
    """Push the PNG files below a folder on a branch that holds nothing else; (name, address) of each.

    Charts are outputs that DVC holds: no branch has them, and a page of a git server can show only what git has. The
    address is one that GitHub shows to those who may read the repository; elsewhere it is what `git show` takes.
    """
    files = sorted(folder.rglob("*.png"))
    if not files:
        return []
    branch = f"{CHARTS}/{identifier}"
    names = ["-".join(file.relative_to(folder).parts) for file in files]
    blobs = [git("hash-object", "-w", "--", str(file)) for file in files]
    listed = "".join(f"100644 blob {blob}\t{name}\n" for blob, name in zip(blobs, names, strict=True))
    commit = commit_of(output("git", "mktree", given=listed), f"Charts of {identifier}")
    git("push", "--quiet", "--force", remote, f"{commit}:refs/heads/{branch}")
    server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    if server and repository:
        return [(n.removesuffix(".png"), f"{server}/{repository}/blob/{commit}/{n}?raw=true") for n in names]
    return [(n.removesuffix(".png"), f"{remote}/{branch}:{n}") for n in names]
