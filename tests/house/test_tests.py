"""The tests keep house too: folders mirror the library, and what tests share is a fixture or a helper."""

import re

from helpers.places import ROOT
from helpers.source_code import LIBRARY

TESTS = ROOT / "tests"
NOT_OF_THE_LIBRARY = {"bench", "demo", "docs", "helpers", "house", "recipes", "system"}


def test_folders_are_those_of_the_library():
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    folders = {folder for folder in folders if folder.parts and folder.parts[0] not in NOT_OF_THE_LIBRARY}
    others = {str(folder) for folder in folders if not (LIBRARY / folder / "__init__.py").is_file()}
    assert others == set(), (
        f"tests/{', tests/'.join(sorted(others))}: tests lie in the folder of what they test, and there is no such "
        f"folder of src/stepsift/; move them to one, or to {', '.join(sorted(NOT_OF_THE_LIBRARY))}"
    )


def test_no_test_imports_another():
    other = re.compile(r"^\s*(?:from|import)\s+(?:\w+\.)*(?:test_\w+|conftest)\b", re.MULTILINE)
    files = [path for path in TESTS.rglob("*.py") if other.search(path.read_text(encoding="utf-8"))]
    assert not files, (
        f"{', '.join(path.relative_to(TESTS).as_posix() for path in files)} imports a module of tests: what two of "
        "them need is a fixture of a conftest.py, or lies in tests/helpers/"
    )
