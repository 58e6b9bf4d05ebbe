"""What makes a test slow is refused in the others: a quick test cannot become slow unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.places import ROOT
from helpers.quick import is_heavy

INI = f"[pytest]\npythonpath = {ROOT / 'tests'} {ROOT / 'src'}\nmarkers = slow\n system\n"
TESTS = """
import subprocess, sys, time
import pytest

def test_is_quick():
    pass

def test_starts_a_process():
    subprocess.run([sys.executable, "-c", ""])

def test_hides_that_it_starts_a_process():
    try:
        subprocess.run([sys.executable, "-c", ""])
    except BaseException:
        pass

def test_imports_a_model_library():
    import torch

def test_loads_a_model_through_the_library():
    from stepsift import params
    from stepsift.student import load_model, locate
    load_model(locate(params.Student(path="{student}")), "float32", "cpu")

@pytest.fixture
def process():
    subprocess.run([sys.executable, "-c", ""])

def test_has_a_fixture_that_starts_a_process(process):
    pass

@pytest.mark.slow
def test_is_marked(process):
    assert False, "a slow test was run"

def test_uses_a_student(student_folder):
    assert False, "a slow test was run"
"""


@pytest.mark.slow
def test_a_quick_test_that_loads_a_model_or_starts_a_process_fails(tmp_path: Path):
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(TESTS.format(student=ROOT / "demo/student"))
    (tmp_path / "test_torch.py").write_text("import torch\n\ndef test_of_a_heavy_module():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "--quick", "-rA", "-p", "no:cacheprovider", str(tmp_path)]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    outcomes = {line.split()[1].partition("::")[2]: line.split()[0] for line in said.splitlines() if ".py::" in line}
    assert outcomes == {
        "test_is_quick": "PASSED",
        "test_starts_a_process": "FAILED",
        "test_hides_that_it_starts_a_process": "FAILED",
        "test_imports_a_model_library": "FAILED",
        "test_loads_a_model_through_the_library": "FAILED",
        "test_has_a_fixture_that_starts_a_process": "ERROR",
    }, said
    assert "a quick test starts a process (subprocess.Popen " in said
    assert "a quick test imports torch: mark it with pytest.mark.slow, or test without" in said


@pytest.mark.parametrize(
    ("text", "heavy"),
    [
        ("import json\n", False),
        ("import torch\n", True),
        ("from transformers.generation import Any\n", True),
        ("def f():\n    import torch\n", False),
        ("from stepsift.core import tables\n", False),
        ("from stepsift.score.forward import engine\n", True),
        ("from stepsift import params, train\n", False),
        ("from helpers.score_cases import cut\n", False),
        ("from helpers.engine_checks import WINDOWS\n", True),
        ("from helpers import places, reference\n", True),
    ],
)
def test_what_a_module_of_tests_costs_is_read_off_its_imports(text: str, heavy: bool, tmp_path: Path):
    (tmp_path / "test_some.py").write_text(text)
    assert is_heavy(tmp_path / "test_some.py") == heavy
