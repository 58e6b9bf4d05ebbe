"""Files that were removed from the pool and still lie on this machine, where ingest would read them.

When somebody else removes a source, `git pull` takes its `.dvc` file away. DVC then knows nothing of the file, so
nothing deletes it.
"""

import subprocess
from pathlib import Path

from stepsift.core.disk import file_md5
from stepsift.core.errors import SourceError
from stepsift.core.finding import Finding
from stepsift.core.text import shell_word
from stepsift.ingest.files import find as files
from stepsift.sources.dvc_file import held_data
from stepsift.sources.place import dvc_file_of


def check_removed(sources: Path) -> Finding:
    """For `stepsift check`: a sentence for each file that was removed and is still there, with the bytes it had."""
    try:
        untracked = [f.path for f in files.find_files(sources)[0] if not dvc_file_of(f.path).exists()]
    except SourceError:  # said already
        return Finding()
    commits = _removals(sources) if untracked else {}
    problems = []
    for path in untracked:
        commit = commits.get(dvc_file_of(path).as_posix())
        if commit is None or _md5_before(commit, dvc_file_of(path)) != file_md5(path):
            continue
        problems.append(
            f"{path} was removed from the pool in commit {commit[:9]}, and is still on this machine, where ingest "
            f"reads it; delete it (rm {shell_word(str(path))}), or add it anew (stepsift add {shell_word(str(path))})"
        )
    return Finding(problems=problems)


def _removals(sources: Path) -> dict[str, str]:
    """`.dvc` file below `sources` that the present branch holds no more, to the commit that took it away."""
    if not any((folder / ".git").exists() for folder in sources.resolve().parents):
        return {}
    # Of a merge, what it took from either side: a pull is one.
    log = _git(
        "log",
        "-z",
        "--no-show-signature",
        "-m",
        "--first-parent",
        "--diff-filter=D",
        "--relative",
        "--name-only",
        "--format=:%H",
        "--",
        str(sources),
    )
    commits: dict[str, str] = {}
    commit = ""
    # Apart by NUL: a name may hold what ends a line, and git would write it in quotes and escapes otherwise.
    for entry in log.split("\0"):
        if entry.startswith(":"):
            commit = entry[1:]
        elif entry.endswith(".dvc"):
            commits.setdefault(entry.removeprefix("\n"), commit)
    return commits


def _md5_before(commit: str, dvc_file: Path) -> str | None:
    """MD5 that a `.dvc` file named before `commit` took it away."""
    try:
        return held_data(_git("show", f"{commit}^:./{dvc_file.as_posix()}"), str(dvc_file))[0].md5
    except SourceError:
        return None


def known_to_git(paths: list[Path]) -> list[Path]:
    """Those of these files and folders that git tracks, or tracks something in, whether they are there or not."""
    return [path for path in paths if _git("ls-files", "--", str(path))]


def _git(*command: str) -> str:
    """What git says; nothing where there is no git, or no commit."""
    try:
        done = subprocess.run(["git", *command], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.decode("utf-8", "replace")
