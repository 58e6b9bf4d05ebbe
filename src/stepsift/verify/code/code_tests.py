"""What `tests` of a prompt may look like, and whether what a program returned is what they ask for.

- Python source: asserts, `check(candidate)` that is called (HumanEval), or functions `test_...`
- a JSON list of texts, one assert each (MBPP's `test_list`)
- `{"test": source, "entry_point": name}`: HumanEval as an object
- `{"test_list": [...], "test_setup_code": source}`: MBPP as an object
- `{"inputs": [...], "outputs": [...], "fn_name": name}`: APPS and TACO, what is printed, or with `fn_name` returned
- `[{"input": ..., "output": ...}, ...]`: what is printed, as LiveCodeBench and CodeContests have it
"""

import ast
import builtins
import json
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
BUILTINS = frozenset(vars(builtins))
_NO_PROGRAM = (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError)

MOST_PROGRAM_CHARS = 100_000
"""A longer answer is not run: to read it alone takes seconds."""
MOST_TESTS_CHARS, MOST_TESTS_NODES = 1_000_000, 200_000
"""Longer tests of Python source are none that would be run; inputs and outputs may be longer."""
TOLERANCE = 1e-6
"""Relative or absolute difference that a decimal number may have."""


@dataclass(frozen=True)
class Tests:
    """Tests in one form, as a job of sandbox_runner.py takes them."""

    mode: str
    """asserts, stdin or call."""
    inputs: tuple[Any, ...]
    """asserts: one text, the source of the tests; stdin: texts; call: lists of arguments."""
    outputs: tuple[Any, ...] = ()
    """The expected output or value for each input; none for asserts."""
    name: str | None = None
    """The function that is called, or that asserts are about where their object names it."""
    needs: frozenset[str] = frozenset()
    """Names that the answer must define, as far as asserts show them."""


def read_tests(text: str) -> Tests | None:
    """The tests that a text holds; None where it holds none that would be run."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return _asserts(text, None)
    if isinstance(data, str):
        return _asserts(data, None)
    if isinstance(data, list):
        if data and all(isinstance(item, str) for item in data):
            return _asserts("\n".join(data), None)
        if data and all(isinstance(item, dict) and {"input", "output"} <= item.keys() for item in data):
            return _pairs([item["input"] for item in data], [item["output"] for item in data], None)
    if isinstance(data, dict):
        return _from_object(data)
    return None


def _from_object(data: dict[str, Any]) -> Tests | None:
    if isinstance(data.get("inputs"), list) and isinstance(data.get("outputs"), list):
        return _pairs(data["inputs"], data["outputs"], data.get("fn_name"))
    if isinstance(data.get("test"), str):
        return _asserts(data["test"], data.get("entry_point"))
    if isinstance(data.get("test_list"), list):
        return _asserts("\n".join([data.get("test_setup_code") or "", *map(str, data["test_list"])]), None)
    return None


def _pairs(inputs: list[Any], outputs: list[Any], name: object) -> Tests | None:
    if not inputs or len(inputs) != len(outputs):
        return None
    if not isinstance(name, str) or not name:
        return Tests("stdin", tuple(map(_text, inputs)), tuple(map(_text, outputs)))
    try:
        calls = [_call(given, expected) for given, expected in zip(inputs, outputs, strict=True)]
    except (ValueError, RecursionError):
        return None
    return Tests("call", tuple(given for given, _ in calls), tuple(expected for _, expected in calls), name)


def _call(given: object, expected: object) -> tuple[list[Any], Any]:
    """(arguments, expected value); LiveCodeBench writes one argument a line and the value, all as JSON."""
    if isinstance(given, str):
        arguments = [json.loads(line) for line in given.split("\n") if line]
        return arguments, json.loads(expected) if isinstance(expected, str) else expected
    if not isinstance(given, list):
        raise ValueError("arguments are a list or lines of JSON")
    return given, expected


def _text(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _asserts(source: str, entry_point: object) -> Tests | None:
    tree = parse(source) if len(source) <= MOST_TESTS_CHARS else None
    if tree is None or sum(1 for _ in ast.walk(tree)) > MOST_TESTS_NODES:
        return None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    calls: list[str] = []
    if not any(_tests_something(node) for node in tree.body):
        # Tests that nobody calls would be passed by everyone.
        if "check" in functions and isinstance(entry_point, str):
            calls = [f"check({entry_point})"]
        else:
            calls = [f"{name}()" for name, node in functions.items() if name.startswith("test_") and not node.args.args]
        if not calls:
            return None
    whole = "\n".join([source, *calls])
    name = entry_point if isinstance(entry_point, str) else None
    return Tests("asserts", (whole,), name=name, needs=_free_names(ast.parse(whole)))


def _tests_something(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    return called or any(isinstance(inner, ast.Assert) for inner in ast.walk(node))


def parse(source: str) -> ast.Module | None:
    """The syntax tree of a Python source; None where it is none."""
    try:
        return _quietly(ast.parse, source)
    except _NO_PROGRAM:
        return None


def compiles(source: str) -> bool:
    """Whether a source is a Python program; a `return` outside of a function is in a syntax tree, but in no program."""
    try:
        _quietly(lambda text: compile(text, "answer.py", "exec", dont_inherit=True), source)
    except _NO_PROGRAM:
        return False
    return True


def _quietly(action: Callable[[str], T], source: str) -> T:
    with warnings.catch_warnings():
        # "\\d" in an answer is no reason to warn about our own source.
        warnings.simplefilter("ignore")
        return action(source)


def defined(tree: ast.AST) -> set[str]:
    """Names that a syntax tree binds, anywhere."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


def _free_names(tree: ast.Module) -> frozenset[str]:
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    # HumanEval's check(f) has a parameter that is called as the function is: what is called at the top is meant too.
    top = {n.id for stmt in tree.body if isinstance(stmt, ast.Expr) for n in ast.walk(stmt) if isinstance(n, ast.Name)}
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return frozenset((read - defined(tree)) | (top - functions)) - BUILTINS


def same_value(value: object, expected: object) -> bool:
    """Whether a returned value is the expected one; APPS puts some expected values into a list of one."""
    return _equal(value, expected) or (isinstance(expected, list) and len(expected) == 1 and _equal(value, expected[0]))


def _equal(value: object, expected: object) -> bool:
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(_equal, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(_equal(value[key], expected[key]) for key in value)
    if isinstance(value, float) and isinstance(expected, int | float) and _fits_float(expected):
        return _close(value, float(expected))
    return value == expected


def _fits_float(number: int | float) -> bool:
    """Whether a number is a float, or whole and within a float's range."""
    return isinstance(number, float) or abs(number) <= sys.float_info.max


def same_output(output: str, expected: str) -> bool:
    """Whether a printed text is the expected one, but for white space at ends of lines and small errors of decimals."""
    left, right = ["\n".join(line.rstrip() for line in t.split("\n")).rstrip().split("\n") for t in (output, expected)]
    if left == right:
        return True
    return len(left) == len(right) and all(map(_same_line, left, right))


def _same_line(output: str, expected: str) -> bool:
    left, right = output.split(), expected.split()
    return len(left) == len(right) and all(map(_same_word, left, right))


def _same_word(word: str, expected: str) -> bool:
    if word == expected:
        return True
    if "." not in expected:
        return False
    try:
        return _close(float(word), float(expected))
    except ValueError:
        return False


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
