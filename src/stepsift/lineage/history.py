"""When a trace entered and left each curated set.

No table names a commit. The MD5 of select's output in each committed `dvc.lock` is looked up in DVC's local cache, and
what the curated sets held then is compared with what they held before. Nothing is fetched.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from stepsift.core import table_files, tables
from stepsift.core.errors import LineageError, TableError
from stepsift.core.text import has_conflict_marks
from stepsift.lineage import lock as locks
from stepsift.lineage.lock import Lock
from stepsift.lineage.revision import LocalCache

STAGE = "select"
CURATED = tables.CURATED.file
HERE = "the working folder, not committed"

Choice = tuple[str, str]
"""Selector and trace id."""


@dataclass(frozen=True)
class Moment:
    """A commit, with its date (YYYY-MM-DD) and first line; or the working folder, which has neither id nor date."""

    commit: str | None
    date: str | None
    subject: str


@dataclass(frozen=True)
class Event:
    """A trace entered or left a selector's curated set.

    `unread_before` revisions stand between this one and the last that could be read: it may have happened in one of
    them.
    """

    selector: str
    trace_id: str
    what: Literal["entered", "left"]
    moment: Moment
    unread_before: int


@dataclass(frozen=True)
class Unread:
    """A revision whose curated sets are not to be seen, and why."""

    moment: Moment
    why: str
    in_remote: bool = True
    """Whether a remote may have what lacks here."""


@dataclass(frozen=True)
class History:
    """Events from the oldest to the newest, and the revisions that could not be read."""

    events: tuple[Event, ...]
    unread: tuple[Unread, ...]


def history_of(name: str, lock_file: Path) -> History:
    """Events of the trace or the prompt that is called `name`, along the first parents of the present branch.

    `lock_file` is the `dvc.lock` of the working folder, which counts as the newest revision if it differs.
    """
    events: list[Event] = []
    unread: list[Unread] = []
    before: set[Choice] = set()
    missed = 0
    with LocalCache() as cache:
        for moment, lock in _revisions(lock_file):
            if isinstance(lock, str):
                unread.append(Unread(moment, lock, in_remote=False))
                missed += 1
                continue
            choices = _chosen(_files(lock, cache, moment), name)
            if isinstance(choices, str):
                unread.append(Unread(moment, choices))
                missed += 1
                continue
            events += [Event(*choice, "left", moment, missed) for choice in sorted(before - choices)]
            events += [Event(*choice, "entered", moment, missed) for choice in sorted(choices - before)]
            before, missed = choices, 0
    return History(tuple(events), tuple(unread))


def _revisions(lock_file: Path) -> list[tuple[Moment, Lock | str]]:
    """Revisions in which the curated sets are others than in the one before, from the oldest to the newest; a string
    says why a commit's lock cannot be read."""
    moments: list[tuple[Moment, Lock | str]] = []
    for moment in _commits(lock_file):
        try:
            text = _git("show", f"{moment.commit}:./{lock_file.as_posix()}")
        except subprocess.CalledProcessError:  # the commit removed it
            continue
        try:
            _append(moments, moment, locks.parse(text, f"commit {moment.commit}"))
        except LineageError:
            marks = "holds the conflict marks of a merge" if has_conflict_marks(text) else "is broken"
            moments.append((moment, f"its dvc.lock {marks}"))
    if lock_file.is_file():
        _append(moments, Moment(None, None, HERE), locks.read(lock_file))
    return moments


def _append(moments: list[tuple[Moment, Lock | str]], moment: Moment, lock: Lock) -> None:
    before = next((other for _, other in reversed(moments) if isinstance(other, Lock)), None)
    if STAGE in lock and not (before and before.md5(STAGE) == lock.md5(STAGE)):
        moments.append((moment, lock))


def _commits(lock_file: Path) -> list[Moment]:
    """Commits that changed the file, oldest first; none where there is no git or nothing was committed."""
    # Along the branch itself: in the order of merged branches, traces would seem to come and go.
    form = "--format=%H%x09%cs%x09%s"
    command = ("log", "-z", "--no-show-signature", "--first-parent", "--reverse", form, "--", lock_file.as_posix())
    try:
        # Apart by NUL, which no subject can hold; some hold what str.splitlines takes for the end of a line.
        lines = _git(*command).split("\0")
    except (OSError, subprocess.CalledProcessError):
        return []
    return [Moment(*line.split("\t", 2)) for line in lines if line]


def _git(*arguments: str) -> str:
    # Git takes commit messages in any encoding, and in none.
    done = subprocess.run(["git", *arguments], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def _files(lock: Lock, cache: LocalCache, moment: Moment) -> Mapping[str, Path] | None:
    """Path below select's folder to the file that holds it; None if nothing is known of the folder."""
    if moment.commit is not None:
        return cache.files(lock.md5(STAGE))
    folder = Path(lock.folder(STAGE))
    return {p.relative_to(folder).as_posix(): p for p in sorted(folder.glob(f"*/{CURATED}"))} or None


def _chosen(files: Mapping[str, Path] | None, name: str) -> set[Choice] | str:
    """The choices of a trace or of a prompt's traces; a string says why they cannot be seen."""
    if files is None:
        return "its data are not in DVC's cache here"
    choices: set[Choice] = set()
    is_named = (pl.col("prompt_id") == name) | (pl.col("trace_id") == name)
    for path, file in files.items():
        selector, _, rest = path.partition("/")
        if rest != CURATED:
            continue
        if not file.is_file():
            return f"{path} is not in DVC's cache here"
        try:
            for frame in table_files.scan(tables.CURATED, file, ["prompt_id", "trace_id"]):
                choices.update((selector, t) for t in frame.filter(is_named)["trace_id"])
        except TableError:
            return f"{path} is damaged or of another version of stepsift"
    return choices
