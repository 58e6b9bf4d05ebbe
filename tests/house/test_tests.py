"""The tests keep house too: folders mirror the library, and what tests share is a fixture or a helper."""

from helpers.places import ROOT
from helpers.source_code import LIBRARY, imported_names

TESTS = ROOT / "tests"
NOT_OF_THE_LIBRARY = {"bench", "demo", "docs", "helpers", "house", "system"}


def test_folders_are_those_of_the_library():
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    folders = {folder for folder in folders if folder.parts and folder.parts[0] not in NOT_OF_THE_LIBRARY}
    assert {str(folder) for folder in folders if not (LIBRARY / folder / "__init__.py").is_file()} == set()


def test_no_test_imports_another():
    imports = {path.name: imported_names(path) for path in TESTS.rglob("*.py")}
    assert {name for name, names in imports.items() if any(n.startswith(("test_", "conftest")) for n in names)} == set()
