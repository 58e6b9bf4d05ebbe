"""What the rules of the house read of the library: its files, their names, and what they import."""

import ast
from functools import cache
from pathlib import Path

import yaml

from helpers.places import ROOT

LIBRARY = ROOT / "src/stepsift"
STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
FILES = sorted(LIBRARY.rglob("*.py"))
_KNOWN = frozenset(FILES)


def name_of(path: Path) -> str:
    """A file as messages name it: below src/stepsift."""
    return path.relative_to(LIBRARY).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, at its top or inside functions; of `from a import b`, a.b."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@cache
def imported(path: Path) -> frozenset[Path]:
    """Files of the library that a file imports, and the packages that they lie in."""
    names = imported_names(path)
    places = {LIBRARY.parent.joinpath(*n.split(".")[:end]) for n in names for end in range(1, n.count(".") + 2)}
    files = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py"))
    return frozenset(file for file in files if file in _KNOWN)


@cache
def run_by(stage: str) -> frozenset[Path]:
    """Files of the library that a stage may run."""
    todo, seen = [ROOT / f"stages/{stage}.py"], set()
    while todo:
        new = imported(todo.pop()) - seen
        seen |= new
        todo += new
    return frozenset(seen)


def strings(path: Path) -> list[str]:
    """Texts in the code of a file that are not documentation."""
    code = tree(path)
    bare = {id(n.value) for n in ast.walk(code) if isinstance(n, ast.Expr)}
    constants = (n for n in ast.walk(code) if isinstance(n, ast.Constant) and id(n) not in bare)
    return [n.value for n in constants if isinstance(n.value, str)]
