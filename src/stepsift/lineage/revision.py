"""What DVC holds for a git revision of this repository: read from its cache or a remote, the work tree untouched."""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from stepsift import params
from stepsift.core.errors import CacheError, LineageError, StepsiftError
from stepsift.core.text import count, error_line, one_line
from stepsift.lineage import lock as locks
from stepsift.lineage.lock import command_paths

_PUSHED = "run 'dvc fetch --all-commits' here if a remote holds it, else 'dvc push --all-commits' where it was made"

_MOST_CHARS = 200
"""Of a name that is no revision's, and of what DVC says of it."""


class Revision:
    """A git revision of this repository with the data that DVC holds for it; use as a context manager.

    `stages` is what its dvc.lock says of each stage. Raises CacheError if there is no such revision, or it has no
    dvc.lock or a broken one.
    """

    def __init__(self, rev: str):
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        self.rev = rev
        if not Path(".dvc").is_dir():
            raise CacheError("there is no .dvc here; run stepsift in the repository's root folder")
        if not rev.strip():  # DVC would take it for the working folder
            raise CacheError("a git revision has a name; 'git log' lists what there is")
        with contextlib.ExitStack() as stack:
            try:
                with Repo() as here:
                    # The revision's own configuration may know no remote, or one of that time.
                    config = {section: dict(here.config[section]) for section in ("core", "cache", "remote")}
                repo = stack.enter_context(Repo(config=config))
                stack.enter_context(repo.switch(rev))
                self._fs = repo.dvcfs
                self.stages: dict[str, Any] = locks.parse(self._fs.read_text("dvc.lock"), f"revision '{rev}'").stages
            except LineageError as e:
                raise CacheError(str(e)) from e
            except (DvcException, ValueError, AttributeError) as e:
                # Of what can be no name, git's library says the second; of a file or folder in a commit, the third.
                why = "it is no commit" if isinstance(e, AttributeError) else error_line(e, _MOST_CHARS)
                raise CacheError(
                    f"git revision '{one_line(rev, _MOST_CHARS)}' cannot be read: {why}; 'git log' lists what there is"
                ) from e
            except FileNotFoundError as e:
                raise CacheError(
                    f"revision '{rev}' has no dvc.lock: the pipeline was not run before that commit; name one of those "
                    "that 'git log -- dvc.lock' lists"
                ) from e
            self._opened = stack.pop_all()

    def __enter__(self) -> "Revision":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def paths(self, stage: str, n: int) -> list[str]:
        """The first `n` paths of a stage's command: see `command_paths`."""
        paths = command_paths(self.stages[stage]["cmd"])
        if len(paths) < n:
            raise CacheError(
                f"stage '{stage}' of revision '{self.rev}' ran as '{self.stages[stage]['cmd']}', which is "
                f"not how it runs now: {count(n, 'path')} needed"
            )
        return paths[:n]

    def section(self, stage: str, name: str, model: type[params.Section]) -> Any:
        """A section of params.yaml as a stage was run with it, which params.yaml of the revision need not be."""
        written = self.stages[stage].get("params", {}).get("params.yaml", {}).get(name) or {}
        try:
            return model.model_validate(written)
        except ValidationError as e:
            where = ".".join(str(part) for part in e.errors()[0]["loc"])
            raise CacheError(
                f"section '{name}' of revision '{self.rev}' has a key or value '{where}' that is not one of today's; "
                "what was made with it cannot be placed"
            ) from e

    def md5_of_code(self, stage: str, path: str) -> str | None:
        """MD5 of a file of code that a stage depends on, as it was when the stage ran; None if it is not named."""
        return next((d["md5"] for d in self.stages[stage].get("deps", []) if d["path"] == path), None)

    def json(self, path: str) -> Any:
        """A small file's content; None if the revision has no such file."""
        with tempfile.TemporaryDirectory() as scratch:
            return json.loads(self.get(path, Path(scratch)).read_bytes()) if self.has(path) else None

    def has(self, path: str) -> bool:
        """Whether the revision has such a file, here or in a remote."""
        with self._reading(path):
            # Asked whether a file exists, DVC says no where the list of its folder's files is missing.
            return path in self._fs.ls(str(PurePosixPath(path).parent), detail=False)

    def folders(self, path: str) -> list[str]:
        """Names of the folders that lie in a folder, sorted."""
        with self._reading(path):
            entries = self._fs.ls(path, detail=True)
        return sorted(PurePosixPath(e["name"]).name for e in entries if e["type"] == "directory")

    def get(self, path: str, folder: Path) -> Path:
        """Copy a file into `folder` under its own name."""
        target = folder / PurePosixPath(path).name
        with self._reading(path):
            self._copy(path, target)
        return target

    def get_below(self, path: str, folder: Path) -> None:
        """Copy the files below a folder."""
        with self._reading(path):
            for name in self._fs.find(path):
                self._copy(name, folder / PurePosixPath(name).relative_to(path))

    def _copy(self, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._fs.get_file(path, str(target))
        with target.open("rb") as f:
            seen = hashlib.file_digest(f, "md5").hexdigest()
        expected = self._fs.info(path).get("md5")
        if expected not in (None, seen):
            raise CacheError(
                f"{path} of revision '{self.rev}' is damaged in DVC's cache (MD5 {seen}, not {expected}); "
                "delete it there and run 'dvc fetch --all-commits'"
            )

    @contextlib.contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        """Give errors of DVC, and of any kind of remote, in one sentence."""
        try:
            yield
        except StepsiftError:
            raise
        except Exception as e:  # a remote is reached through anybody's library, each with errors of its own
            reason = error_line(e)
            raise CacheError(
                f"{path} of revision '{self.rev}' is neither in DVC's cache nor in a remote ({reason}); {_PUSHED}"
            ) from e


class LocalCache:
    """DVC's cache on this machine, by the MD5s that stand in a dvc.lock; use as a context manager. Fetches nothing."""

    def __enter__(self) -> "LocalCache":
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            self._repo = Repo()
        except DvcException as e:
            raise CacheError(f"{e}; run stepsift in the root folder of a repository of DVC") from e
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.close()

    def files(self, md5: str) -> dict[str, Path] | None:
        """Path below the folder with this MD5 (`.dir` behind it) to where the cache keeps, or would keep, that file.

        None where the cache does not hold the folder's list of files.
        """
        cache = self._repo.cache.local
        try:
            listed = json.loads(Path(cache.oid_to_path(md5)).read_bytes())
        except (OSError, ValueError):
            return None
        return {entry["relpath"]: Path(cache.oid_to_path(entry["md5"])) for entry in listed}
