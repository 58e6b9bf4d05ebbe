"""What makes a test slow, and what keeps the others quick: `pytest --quick` (make quick) runs those that are not.

A test is slow when its module imports one of HEAVY (then the module itself is left out, and nobody waits for the
import), when it uses one of SLOW_FIXTURES, or when it is marked so. Any other test that starts a process or imports one
of HEAVY, be it deep in the library, fails by name: no test becomes slow unseen.
"""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from helpers.places import ROOT

HEAVY = frozenset(
    {"torch", "transformers", "datasets", "trl", "peft", "accelerate", "lm_eval", "mlflow", "dvc", "ray", "playwright"}
)
"""Packages that take a second or more to import, or whose use takes seconds: models, runs, repositories, browsers."""
SLOW_FIXTURES = frozenset({"tokenizer_folder", "student_folder", "load_student", "committed"})
STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"})
"""Python's audit events of a process that is started."""
_FOLDERS = (ROOT / "tests", ROOT / "src", ROOT / "demo", ROOT / "bench")
"""Where modules of this project lie."""


@cache
def _imported(path: Path) -> frozenset[str]:
    """Dotted names that a file imports at its top; of `from a import b`, a.b, which may be a module."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def _own_modules() -> dict[str, Path]:
    """Dotted names of this project's modules and packages, and their files."""
    files = {file.relative_to(folder): file for folder in _FOLDERS for file in folder.rglob("*.py")}
    return {".".join(name.with_suffix("").parts).removesuffix(".__init__"): file for name, file in files.items()}


@cache
def _own_files(name: str) -> tuple[Path, ...]:
    """The files of this project that importing a dotted name runs: packages on the way, then a module."""
    parts, own = name.split("."), _own_modules()
    prefixes = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return tuple(own[prefix] for prefix in prefixes if prefix in own)


@cache
def is_heavy(path: Path) -> bool:
    """Whether importing a file imports one of HEAVY, itself or through other files of this project."""
    todo, seen = [path], {path}
    while todo:
        names = _imported(todo.pop())
        if any(name.partition(".")[0] in HEAVY for name in names):
            return True
        new = {file for name in names for file in _own_files(name)} - seen
        seen |= new
        todo += new
    return False


def is_slow(item: pytest.Item) -> bool:
    """Whether a test is marked slow, or is one of the system's."""
    return any(item.get_closest_marker(name) for name in ("slow", "system"))


class Guard:
    """Refuses, while a quick test runs, what makes a test slow."""

    def __init__(self) -> None:
        self._is_on = False
        self._seen: list[str] = []
        sys.addaudithook(self._audit)

    @contextmanager
    def watching(self, item: pytest.Item) -> Iterator[None]:
        """While a quick test is set up or runs in `make quick`: what is refused raises at once, and at the end again.

        Elsewhere a process that a slow test started may serve a quick one, so that what is refused depends on order.
        """
        self._is_on, self._seen = item.config.getoption("quick") and not is_slow(item), []
        try:
            yield
        finally:
            self._is_on = False
        if self._seen:
            pytest.fail(self._seen[0], pytrace=False)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on:
            return
        if event in STARTS:
            self._refuse(f"starts a process ({event} {str(arguments[0])[:60]})" if arguments else "starts a process")
        elif event == "import" and arguments[0].partition(".")[0] in HEAVY:
            self._refuse(f"imports {arguments[0]}")

    def _refuse(self, what: str) -> None:
        self._seen.append(f"a quick test {what}: mark it with pytest.mark.slow, or test without")
        raise pytest.fail.Exception(self._seen[-1], pytrace=True)
