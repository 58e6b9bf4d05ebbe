"""The tests keep house too: folders mirror the library, and what tests share is a fixture or a helper."""

import re

from helpers.places import ROOT
from helpers.source_code import LIBRARY

TESTS = ROOT / "tests"
NOT_OF_THE_LIBRARY = {"bench", "demo", "docs", "helpers", "house", "system"}


def test_folders_are_those_of_the_library():
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    folders = {folder for folder in folders if folder.parts and folder.parts[0] not in NOT_OF_THE_LIBRARY}
    assert {str(folder) for folder in folders if not (LIBRARY / folder / "__init__.py").is_file()} == set()


def test_no_test_imports_another():
    other = re.compile(r"^\s*(?:from|import)\s+(?:\w+\.)*(?:test_\w+|conftest)\b", re.MULTILINE)
    assert {path.name for path in TESTS.rglob("*.py") if other.search(path.read_text(encoding="utf-8"))} == set()
