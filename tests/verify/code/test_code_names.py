"""Whose the names in tests are, what they must be run beside, and which packages are missing."""

import json

import pytest

from stepsift.verify.code.code_names import Plan, is_installed, missing_packages, plan
from stepsift.verify.code.code_tests import read_tests
from stepsift.verify.code.judge import CodeRunner, Outcome, code_of
from stepsift.verify.code.sandbox import Sandbox


def planned(tests: str, prompt: str = "", program: str = "", entry_point: str | None = None) -> Plan:
    """The plan for asserts."""
    read = read_tests(json.dumps({"test": tests, "entry_point": entry_point}))
    assert read is not None
    return plan(read, code_of(prompt), prompt, program)


STUB = "def area(r):\n    '''The area.'''\n"
HELPER = "import math\n\ndef half(x):\n    return x / 2\n\n"


@pytest.mark.parametrize(
    ("tests", "prompt", "program", "subjects"),
    [
        ("assert area(2) == 12", "", "", {"area"}),
        ("assert abs(area(2) - 12) < 1", "", "def abs(x): pass", {"area"}),
        ("assert isclose(area(2), 12)", "", "def isclose(a, b): pass", {"area"}),
        ("assert math.isclose(area(2), 12)", "", "math = 1", {"area"}),
        # What the prompt began is the answer's, what it wrote out its own.
        ("assert half(area(2)) == 6", HELPER + STUB, "", {"area"}),
        ("assert half(2) == 1", HELPER, "", {"half"}),
        ("assert half(2) == 1", HELPER.replace("return x / 2", "pass"), "", {"half"}),
        # Names of Python's, where an assert is about nothing else.
        ("assert sum(1, 2) == 3", "", "def sum(a, b): pass", {"sum"}),
        ("assert sum([1, 2]) == 3", "", "def f(a): pass", set()),
        ("assert gcd(4, 6) == 2", "", "", {"gcd"}),
        ("assert gcd(4, 6) == 2\nassert lcm(4, 6) == 12", "", "def gcd(): 0\ndef lcm(): 0", {"gcd", "lcm"}),
        ("assert isclose(sqrt(2), 1.41)", "", "def isclose(): 0\ndef sqrt(): 0", {"sqrt"}),
        ("assert all(isinstance(x, int) for x in filter(int, [1]))", "", "def filter(f, x): 0", {"filter"}),
        ("assert sorted([2, 1]) == list((1, 2))", "", "def sorted(x): 0\ndef list(x): 0", {"sorted"}),
        ("assert sorted([2, 1]) == list((1, 2))", "Write `list`.", "def sorted(x): 0\ndef list(x): 0", {"list"}),
        ("x = area(1)\nassert abs(x) == 3", "", "def abs(x): 0", {"area"}),
        # A parameter is no name of the answer's.
        ("def check(candidate):\n    assert abs(candidate(1)) == 3\n\ncheck(area)", "", "def abs(x): 0", {"area"}),
    ],
)
def test_names_that_are_the_answers(tests: str, prompt: str, program: str, subjects: set[str]) -> None:
    assert planned(tests, prompt, program).subjects.keys() == subjects


def test_the_function_that_the_tests_name_is_the_answers() -> None:
    tests = "def check(candidate):\n    assert candidate([1]) == 1\n"
    assert planned(tests, entry_point="sum", prompt="def sum(xs):\n    return 0\n").subjects == {"sum": False}


@pytest.mark.parametrize(
    ("tests", "helpers"),
    [
        ("assert math.sqrt(f(1)) == 1", {"math": ("math", "")}),
        ("assert np.allclose(f(1), 1)", {"np": ("numpy", "")}),
        ("assert f(1) == Counter('a')", {"Counter": ("collections", "Counter")}),
        ("assert f(1) == datetime(2024, 1, 1)", {"datetime": ("datetime", "datetime")}),
        ("assert f(1) == datetime.timedelta(1)", {"datetime": ("datetime", "")}),
        ("assert f(1) == datetime.strptime('1', '%d')", {"datetime": ("datetime", "datetime")}),
        ("assert isclose(f(1), 1) and f(List)", {"isclose": ("math", "isclose"), "List": ("typing", "List")}),
    ],
)
def test_names_that_are_pythons(tests: str, helpers: dict) -> None:
    assert planned(tests).helpers == helpers


def test_what_the_prompt_wrote_out_is_given_but_for_what_it_began() -> None:
    given = planned(
        "assert half(area(2)) == 6", HELPER + "@print\n" + HELPER[13:].replace("half", "third") + STUB
    ).given
    assert given == ("import math", "def half(x):\n    return x / 2", "@print\ndef third(x):\n    return x / 2")


@pytest.mark.parametrize(
    ("tests", "prompt", "is_class"),
    [
        ("assert Box(1).size() == 1", "", True),
        ("b = Box(1)\nassert b.size == 1", "", True),
        ("assert Box.SIZE == 1", "", True),
        ("assert Box(1) == Box(1)", "Write a class `Box`.", True),
        ("assert Box(1) == Box(1)", "class Box:\n    def __init__(self, n):\n        pass\n", True),
        ("try:\n    f()\nexcept Box:\n    assert True", "", True),
        ("assert isinstance(f(), Box)", "", True),
        # A function by any name; what it returns is data.
        ("assert Box(1) == 2", "", False),
        ("assert box(1).upper() == 'A'", "", False),
        ("assert box(1) == 2", "Say in which class box 1 falls.", False),
    ],
)
def test_tests_and_prompt_say_what_is_a_class(tests: str, prompt: str, is_class: bool) -> None:
    assert next(value for name, value in planned(tests, prompt).subjects.items() if name.lower() == "box") is is_class


@pytest.mark.parametrize(
    ("tests", "beside"),
    [
        ("assert f(1) == 2", False),
        ("import math\nassert f(1) == math.pi", False),
        ("assert Box(1).n == 2", False),
        ("with redirect_stdout(x):\n    f()\nassert x", True),
        ("import sys\nsys.stdin = 1\nassert f(1)", True),
        ("from unittest.mock import patch\nassert f(1)", True),
        ("import random\nrandom.seed(1)\nassert f(1)", True),
        ("import asyncio\nassert asyncio.run(f(1))", True),
        ("assert eval('f(1)')", True),
        ("class Own(Box):\n    pass\nassert Own(1).n", True),
        ("assert isinstance(f(1), Box)\nassert Box.x", True),
        ("assert isinstance(f(1), (int, Box))\nassert Box.x", True),
        ("assert isinstance(f(1), int)", False),
    ],
)
def test_tests_that_need_the_answers_process(tests: str, beside: bool) -> None:
    assert planned(tests).beside is beside


def test_no_answer_decides_how_it_is_tested() -> None:
    """Whatever a program holds, the plan for tests that call its names is the same."""
    programs = ("", "class area:\n    pass", "area = 1", "def all(x): 0\ndef math(): 0", "import mock", "not python (")
    plans = [planned("assert abs(area(2) - 12) < 1\nassert all([area(1) == 3])", STUB, p) for p in programs]
    assert all(made == plans[0] for made in plans)


@pytest.mark.parametrize("terms", [10, 900, 3_000, 50_000])
def test_deep_sources_are_read_without_a_traceback(terms: int) -> None:
    deep = "+".join(["1"] * terms)
    runner = CodeRunner(1.0)
    runner._sandbox = Sandbox("none", ())
    for source, tests, prompt in (
        (f"x = {deep}", "assert f(1)", ""),
        ("x = 1", f"assert f(1) == {deep}", ""),
        ("x = 1", f"assert abs({'abs(' * min(terms, 80)}1{')' * min(terms, 80)}) == {deep}", ""),
        ("x = 1", "assert f(1)", f"def f(x):\n    pass\ny = {deep}"),
        ("x = 1", "[" * terms, ""),
        ("x = 1", json.dumps({"inputs": ["[" * terms], "outputs": ["1"], "fn_name": "f"}), ""),
    ):
        assert runner.judge_source(source, tests, prompt).verdict in ("unchecked", "wrong")
        read = read_tests(tests)
        if read and read.mode == "asserts":
            plan(read, prompt, prompt, source)


def test_a_program_of_megabytes_is_wrong_at_once() -> None:
    runner = CodeRunner(1.0)
    runner._sandbox = Sandbox("none", ("false",))
    assert runner.judge_source("a=1\n" * 10**6, "assert f(1) == 1", "") == Outcome("wrong", "length")
    assert runner.judge_source("a=1", "assert f(1) == 1\n" * 10**6, "") == Outcome("unchecked", "no_tests")


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("import gensim", {"gensim"}),
        ("def f():\n    from gensim.models import x", {"gensim"}),
        ("import gensim.models as m, numpy", {"gensim"}),
        ("import nobody_has_written_this", set()),
        ("from . import gensim", set()),
        ("'import gensim'", set()),
        ("import math", set()),
        ("not python (", set()),
    ],
)
def test_packages_that_are_missing(source: str, missing: set[str]) -> None:
    if is_installed("gensim"):
        pytest.skip("gensim is installed")
    assert missing_packages(source) == missing
