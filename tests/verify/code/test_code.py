"""Programs judged on their tests: which block is the answer, which forms tests have, what is said without isolation."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.programs import isolated_runner
from stepsift.core import tables
from stepsift.verify import Verifier
from stepsift.verify.code import sandbox
from stepsift.verify.code.code_tests import read_tests, same_output, same_value
from stepsift.verify.code.judge import REASONS, CodeRunner, Outcome, python_block, with_prompt

DOUBLE = "def f(x):\n    return 2 * x\n"
HUMANEVAL = 'def f(x: int) -> int:\n    """Twice x.\n\n    >>> f(2)\n    4\n    """\n'
CHECK = (
    "META = {'author': 'us'}\n\n\ndef check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n"
)


@pytest.fixture(scope="module")
def runner() -> CodeRunner:
    return isolated_runner(10.0)


@pytest.fixture
def humaneval() -> list[dict]:
    """Real problems that lie beside the repository on some machines."""
    file = Path(__file__).parents[4] / "shared" / "data" / "eval" / "humaneval.jsonl"
    if not file.is_file():
        pytest.skip("no file ../shared/data/eval/humaneval.jsonl beside the repository")
    return [json.loads(line) for line in file.read_text().splitlines()]


def fenced(source: str, language: str = "python") -> str:
    return f"```{language}\n{source}\n```"


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("```python\na = 1\n```", "a = 1\n"),
        ("```python\na = 1\n```\nor\n```python\nb = 2\n```\nRun it:\n```\nc\n```", "b = 2\n"),
        ("```\na = 1\n```", "a = 1\n"),
        ("```py\na = 1\n```", "a = 1\n"),
        ("```Python title\na = 1\n```", "a = 1\n"),
        ("```bash\nls\n```", None),
        ("```python\na = 1\n```\n```bash\nls\n```", "a = 1\n"),
        ("```python\nnever closed", None),
        ("1. So:\n   ```python\n   if a:\n       b()\n   ```", "if a:\n    b()\n"),
        ("````python\na = '''\n```\n'''\n````", "a = '''\n```\n'''\n"),
        ("no code", None),
        ("", None),
    ],
)
def test_the_block_that_is_the_answer(text: str, block: str | None) -> None:
    assert python_block(text) == block


@pytest.mark.parametrize(
    ("tests", "mode", "inputs", "outputs"),
    [
        ('["assert f(1) == 2", "assert f(2) == 4"]', "asserts", ("assert f(1) == 2\nassert f(2) == 4",), ()),
        ("assert f(1) == 2", "asserts", ("assert f(1) == 2",), ()),
        ('{"test": "assert f(1) == 2"}', "asserts", ("assert f(1) == 2",), ()),
        ('{"inputs": ["1\\n", ["2", "3"]], "outputs": ["2", "6"]}', "stdin", ("1\n", "2\n3"), ("2", "6")),
        ('[{"input": "1", "output": "2"}]', "stdin", ("1",), ("2",)),
        ('{"inputs": [[1, "a"]], "outputs": [[2]], "fn_name": "f"}', "call", ([1, "a"],), ([2],)),
        ('{"inputs": ["[1]\\n2"], "outputs": ["3"], "fn_name": "f"}', "call", ([[1], 2],), (3,)),
    ],
)
def test_forms_of_tests(tests: str, mode: str, inputs: tuple, outputs: tuple) -> None:
    found = read_tests(tests)
    assert found is not None
    assert (found.mode, found.inputs, found.outputs) == (mode, inputs, outputs)


@pytest.mark.parametrize(
    "tests",
    [
        "",
        "[]",
        "{}",
        "3",
        "null",
        '"not python"',
        "def check(candidate):\n    assert candidate(1) == 2\n",
        '{"inputs": [], "outputs": []}',
        '{"inputs": ["1"], "outputs": []}',
        '{"inputs": ["1 2"], "outputs": ["1"], "fn_name": "f"}',
        '[{"input": "1"}]',
        '["a", 1]',
    ],
)
def test_what_tests_nothing_is_no_test(tests: str) -> None:
    """Above all tests that nobody calls, which every program would pass."""
    assert read_tests(tests) is None
    assert CodeRunner(1.0).judge_source(DOUBLE, tests, "") == Outcome("unchecked", "no_tests")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tests", "good", "bad"),
    [
        ('["assert f(2) == 4", "assert f(3) == 6"]', DOUBLE, "def f(x):\n    return x + 2\n"),
        (f"{CHECK}\ncheck(f)\n", DOUBLE, "def f(x):\n    return x + 2\n"),
        (json.dumps({"test": CHECK, "entry_point": "f"}), DOUBLE, "def f(x):\n    return x + 2\n"),
        ("def test_two():\n    assert f(2) == 4\n", DOUBLE, "def f(x):\n    return 5\n"),
        (
            '{"inputs": ["2\\n3\\n", "5"], "outputs": ["4\\n6\\n", "10\\n"]}',
            "import sys\nfor x in sys.stdin:\n    print(2 * int(x))",
            "import sys\nfor x in sys.stdin:\n    print(4 if x == '2\\n' else 6)",
        ),
        (
            '{"inputs": ["2"], "outputs": ["4"]}',
            "if __name__ == '__main__':\n    print(2 * int(input()))\n    exit()",
            "print(5)",
        ),
        ('{"inputs": [[2], [3]], "outputs": [4, 6], "fn_name": "f"}', DOUBLE, "def f(x):\n    return 4"),
        (
            '{"inputs": ["[3, 1]\\n"], "outputs": ["[1, 3]"], "fn_name": "order"}',
            "class Solution:\n    def order(self, xs: List[int]) -> List[int]:\n        return sorted(xs)",
            "class Solution:\n    def order(self, xs):\n        return xs",
        ),
    ],
)
def test_programs_that_pass_and_that_fail(runner: CodeRunner, tests: str, good: str, bad: str) -> None:
    assert runner.judge_source(good, tests, "") == Outcome("correct", "passed")
    assert runner.judge_source(bad, tests, "") == Outcome("wrong", "wrong_answer")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (f"<think>\n{fenced('f = None')}\n</think>\n\nHere:\n{fenced(DOUBLE)}\nIt doubles.", "passed"),
        (f"<think>\n{fenced(DOUBLE)}\n</think>\n\n{fenced('f = None')}", "error"),
        (f"<think>\n{fenced(DOUBLE)}\n</think>\n\nAs above.", "no_code"),
        (f"<think>\n{fenced(DOUBLE)}", "no_code"),
        (fenced(DOUBLE, ""), "passed"),
        (fenced("    return 2 * x\n"), "passed"),
        (fenced("    return 3 * x\n"), "wrong_answer"),
        (fenced("syntax error"), "error"),
        (fenced("import module_that_is_nowhere"), "error"),
        (fenced("g = 1"), "error"),
    ],
)
def test_responses(runner: CodeRunner, response: str, reason: str) -> None:
    """The prompt begins the function and the response may continue it."""
    tests = json.dumps({"test": CHECK, "entry_point": "f"})
    prompt = f"Complete this:\n\n{fenced(HUMANEVAL)}" if "g = 1" not in response else "Double."
    assert runner.judge(response, tests, prompt) == Outcome(REASONS[reason], reason)


def test_the_prompt_comes_first_only_where_it_defines_what_is_tested() -> None:
    tests = read_tests(json.dumps({"test": CHECK, "entry_point": "f"}))
    assert tests is not None
    assert tests.needs == {"f"}
    assert with_prompt("    return 1\n", HUMANEVAL, tests) == f"{HUMANEVAL}\n    return 1\n"
    assert with_prompt(DOUBLE, "Double a number.", tests) == DOUBLE
    assert with_prompt(DOUBLE, "def g():\n    return 1\n", tests) == DOUBLE


@pytest.mark.slow
def test_every_input_counts(runner: CodeRunner) -> None:
    inputs = list(map(str, range(5)))
    tests = json.dumps({"inputs": inputs, "outputs": [str(2 * int(i)) for i in inputs]})
    assert runner.judge_source("print(2 * int(input()))", tests, "").reason == "passed"
    assert runner.judge_source("x = int(input())\nprint(2 * x if x < 4 else 0)", tests, "").reason == "wrong_answer"


@pytest.mark.slow
def test_real_problems_with_their_solutions(runner: CodeRunner, humaneval: list[dict]) -> None:
    for problem in humaneval[:8]:
        tests = json.dumps({"test": problem["test"], "entry_point": problem["entry_point"]})
        right = fenced(problem["prompt"] + problem["answer"])
        assert runner.judge(right, tests, problem["prompt"]).reason == "passed"
        assert runner.judge(fenced(problem["answer"]), tests, problem["prompt"]).reason == "passed"
        assert runner.judge(fenced("    return None\n"), tests, problem["prompt"]).verdict == "wrong"


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        ("1 2\n", "1 2", True),
        ("1 2 \n\n", "1 2\n", True),
        ("0.3333333", "0.33333334", True),
        ("0.333", "0.334", False),
        ("1\n2", "1 2", False),
        ("10", "10.0", True),
        ("1000001", "1000002", False),
        ("yes", "YES", False),
        ("", "1", False),
        ("nan", "1.0", False),
    ],
)
def test_printed_texts(found: str, wanted: str, same: bool) -> None:
    assert same_output(found, wanted) is same


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (4, 4, True),
        (4, [4], True),
        ([4], 4, False),
        ([1, 2.0000000001], [1, 2], True),
        ({"a": 0.5}, {"a": 0.5}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1], [1, 2], False),
        ("4", 4, False),
        (None, 0, False),
        (1.0, 10**400, False),
        (float("inf"), 10**400, False),
        (10**400, 10**400, True),
    ],
)
def test_returned_values(found: object, wanted: object, same: bool) -> None:
    assert same_value(found, wanted) is same


@given(st.text())
def test_nothing_raises_on_any_text(text: str) -> None:
    python_block(text)
    read_tests(text)
    assert same_output(text, text)


@given(st.text(alphabet=st.characters(exclude_characters="`", exclude_categories=["Cs"])))
def test_what_stands_in_a_block_is_found(source: str) -> None:
    assert python_block(f"text\n```python\n{source}\n```\nmore") == source + "\n"


def test_every_reason_has_a_verdict_of_the_tables() -> None:
    assert set(REASONS.values()) == set(tables.VERDICTS)


def test_without_isolation_nothing_is_run(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    none = sandbox.Sandbox("none", (), "bubblewrap is not installed; install the package bubblewrap")
    monkeypatch.setattr(sandbox, "find", lambda: none)
    monkeypatch.setattr(sandbox.Sandbox, "run", lambda *_: pytest.fail("a program was run"))
    with Verifier(1.0) as verifier, caplog.at_level(logging.WARNING):
        for source in (DOUBLE, "f = 1"):
            assert verifier.run_tests(fenced(source), '["assert f(2) == 4"]', "") == Outcome("unchecked", "isolation")
    (record,) = caplog.records
    assert none.reason in record.getMessage()
    (line,) = sandbox.check_isolation().lines
    assert line.endswith(f"no isolation ({none.reason})")


def test_other_systems_have_no_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    found = sandbox.find()
    assert (found.command, found.name) == ((), "none")
    assert "darwin" in found.reason


@pytest.mark.slow
def test_check_says_whether_programs_can_be_judged(runner: CodeRunner) -> None:
    assert sandbox.check_isolation().lines == [
        f"programs    answers of the kind code are run on their tests, isolated by {runner.sandbox.name}"
    ]
