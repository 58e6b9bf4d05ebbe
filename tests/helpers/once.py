"""What is made once per run of the tests and shared by all of pytest-xdist's workers, for reading only."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


class SharedFolder:
    """Folders by name; the first worker that asks for one makes it, and the others wait for it."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[Path], object]) -> Path:
        """The folder `name`, made by `make(folder)` where it is not there yet; what failed half-way is made again."""
        path = self.root / name
        if not path.exists():
            with FileLock(f"{path}.lock"):
                if not path.exists():
                    half = path.with_name(f".{name}.half")
                    shutil.rmtree(half, ignore_errors=True)
                    make(half)
                    half.replace(path)
        return path
