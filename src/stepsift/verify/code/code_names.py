"""Whose the names in tests are: the answer's, the prompt's, or Python's. The answer has no say in it.

Tests run apart from the answer, with a proxy for each name that is the answer's. What else they call must mean what
their author meant, so `abs`, `math` and `isclose` are Python's, and a helper that the prompt itself wrote out is the
prompt's, whatever an answer calls its own. A name of Python's is the answer's only where a test is about nothing else:
in `assert sum(1, 2) == 3` it is the innermost that is called.
"""

import ast
import bisect
import collections
import copy
import datetime
import decimal
import fractions
import functools
import heapq
import importlib.util
import itertools
import math
import operator
import random
import re
import statistics
import string
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stepsift.verify.code.code_tests import BUILTINS, Tests, defined, parse

_ALIASES = {"np": "numpy", "pd": "pandas"}
_MODULES = (
    math, collections, itertools, functools, heapq, bisect, fractions, decimal, datetime, copy, operator,
    string, statistics, random, typing,
)  # fmt: skip
"""Modules whose names tests use without an import, since answers tend to have imported them."""
_BESIDE = """
redirect_stdout redirect_stderr stdout stdin stderr capsys patch mock Mock MagicMock monkeypatch inspect getsource
globals locals vars eval exec seed environ chdir asyncio threading multiprocessing concurrent Thread gc
"""
"""Names in tests that reach into the process of the answer, or need it to be their own."""
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_KNOWN_PACKAGES = """
aiohttp attr bs4 cachetools click cryptography cv2 cython dateutil django fastapi flask gensim gmpy2 h5py httpx
humanize jax joblib jsonschema keras librosa lightgbm lxml markdown matplotlib more_itertools mpmath nacl networkx
nltk numba numpy openpyxl orjson pandas pil PIL plotly polars primesieve psutil psycopg2 pyarrow pydantic pygments
pymongo pyparsing pyspark pytest pytz redis regex requests rich scipy seaborn shapely simplejson six skimage sklearn
sortedcontainers spacy sqlalchemy statsmodels sympy tensorflow textblob toolz torch torchvision tornado tqdm
transformers unidecode ujson xgboost yaml z3 zstandard
"""
"""Packages that answers import. Of another name nobody knows that it exists anywhere: to import it is an error."""


@dataclass(frozen=True)
class Plan:
    """How tests are run apart from an answer."""

    subjects: dict[str, bool]
    """Names that are the answer's; whether the tests are about a class of that name."""
    helpers: dict[str, tuple[str, str]]
    """Names that are Python's: module and name in it, or "" for the module itself."""
    given: tuple[str, ...]
    """Definitions that the prompt wrote out."""
    beside: bool
    """Whether the tests can only run in the answer's process."""

    def grader(self, tests: Tests) -> dict[str, Any]:
        """What the grader reads (sandbox_grader.py)."""
        return {
            "tests": tests.inputs[0],
            "given": self.given,
            "subjects": self.subjects,
            "helpers": self.helpers,
        }


def plan(tests: Tests, prompt_code: str, prompt: str, program: str) -> Plan:
    """The plan for tests that are asserts.

    `prompt_code`: the code in the prompt, `prompt`: all of it, `program`: the answer's source; its definitions count
    only where tests call nothing but names of Python.
    """
    tree = ast.parse(tests.inputs[0])
    given = parse(prompt_code) or ast.Module([], [])
    written = {name for node in given.body if not _is_stub(node) for name in defined_here(node)}
    stubs = {name for node in given.body if _is_stub(node) for name in defined_here(node)}
    subjects = {tests.name} if tests.name else set()
    subjects |= stubs & tests.needs
    subjects |= {name for name in tests.needs if name not in written and not _is_pythons(name)}
    if not subjects:
        # A prompt that shows a function and asks for a better one.
        subjects = written & tests.needs
    answered = {name for node in (parse(program) or given).body for name in defined_here(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            subjects |= _of_pythons_names(node, tests.needs - written, answered, prompt)
    about = {name: _is_class(name, tree, given, prompt) for name in sorted(subjects)}
    return Plan(
        subjects=about,
        helpers={name: _helper(name, tree) for name in sorted(tests.needs - subjects) if _is_pythons(name)},
        given=tuple(_source(node, prompt_code) for node in given.body if not _is_stub(node)),
        beside=_beside(tree, {name for name, is_class in about.items() if is_class}),
    )


def defined_here(node: ast.stmt) -> set[str]:
    """Names that a statement at the top of a module binds there."""
    if isinstance(node, (*_FUNCTION, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return set()
    return defined(node)


def _source(node: ast.stmt, source: str) -> str:
    """The lines of a statement."""
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])


def _is_stub(node: ast.stmt) -> bool:
    """Whether a function or class is only begun: nothing but a docstring, `pass`, `...` or an exception."""
    if isinstance(node, ast.ClassDef):
        methods = [inner for inner in node.body if isinstance(inner, _FUNCTION)]
        return any(map(_is_stub, methods)) or all(map(_is_empty, node.body))
    return isinstance(node, _FUNCTION) and all(map(_is_empty, node.body))


def _is_empty(node: ast.stmt) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass | ast.Raise)


@functools.cache
def _pythons_names() -> dict[str, str]:
    """Names of _MODULES to the first module that has them."""
    names: dict[str, str] = {}
    for module in _MODULES:
        for name in getattr(module, "__all__", None) or dir(module):
            if not name.startswith("_"):
                names.setdefault(name, module.__name__)
    return names


def _is_pythons(name: str) -> bool:
    return name in _ALIASES or name in sys.stdlib_module_names or name in _pythons_names()


def _helper(name: str, tree: ast.Module) -> tuple[str, str]:
    """Where a name of Python's is from; `datetime` is a module before `.timedelta`, and a class before a call."""
    read = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and _is_name(n.value, name)}
    called = any(isinstance(n, ast.Call) and _is_name(n.func, name) for n in ast.walk(tree))
    if name in _ALIASES:
        return _ALIASES[name], ""
    of = _pythons_names().get(name)
    module = sys.modules.get(name)
    if of is None or (read and not called and module is not None and all(hasattr(module, attr) for attr in read)):
        return name, ""
    return of, name


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _of_pythons_names(test: ast.Assert, free: frozenset[str], answered: set[str], prompt: str) -> set[str]:
    """The name that an assert is about, where all that it reads are names of Python's; empty for others.

    It is the innermost one that is called, of several one that the prompt speaks of.
    """
    read = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)} - defined(test)
    if any(name not in BUILTINS and not (name in free and _is_pythons(name)) for name in read):
        return set()
    calls = [(depth, name) for depth, name in _calls(test) if name in free or name in answered]
    if not calls:
        return set()
    innermost = [name for depth, name in calls if depth == max(calls)[0]]
    spoken = [name for name in innermost if re.search(rf"\b{re.escape(name)}\b", prompt)]
    return {(spoken or innermost)[0]}


def _calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(depth, name) of each call of a plain name; from left to right at each depth."""
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        below: list[ast.AST] = []
        waiting = level[::-1]
        while waiting:
            node = waiting.pop()
            inner = list(ast.iter_child_nodes(node))
            if isinstance(node, ast.Call):
                below += inner
                if isinstance(node.func, ast.Name):
                    yield depth, node.func.id
            else:
                waiting += inner[::-1]
        level, depth = below, depth + 1


def _is_class(name: str, tree: ast.Module, given: ast.Module, prompt: str) -> bool:
    """Whether tests are about a class: the prompt says so, or they read attributes of it or of what it makes."""
    if any(isinstance(node, ast.ClassDef) and node.name == name for node in ast.walk(given)):
        return True
    if not name[:1].isupper():
        # "in this class half of .." speaks of no class `half`.
        return False
    word = re.escape(name)
    if re.search(rf"\bclass\s+[`'\"*]*{word}\b|\b{word}[`'\"*]*\s+class\b", prompt):
        return True
    if name in _as_types(tree):
        return True
    made = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is_name(node.value.func, name)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    owners = [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return any(
        (isinstance(owner, ast.Name) and owner.id in {name, *made})
        or (isinstance(owner, ast.Call) and _is_name(owner.func, name))
        for owner in owners
    )


def _as_types(tree: ast.Module) -> set[str]:
    """Names that tests use as types: caught, inherited from, or asked for by `isinstance` and `raises`."""
    nodes: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type:
            nodes += ast.walk(node.type)
        elif isinstance(node, ast.ClassDef):
            nodes += node.bases
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in ("isinstance", "issubclass", "raises", "assertRaises", "assertIsInstance"):
                nodes += [inner for given in node.args for inner in ast.walk(given)]
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _beside(tree: ast.Module, classes: set[str]) -> bool:
    """Whether tests can only run in the answer's process, as far as their source shows."""
    for node in ast.walk(tree):
        names = {getattr(node, "id", None), getattr(node, "attr", None)}
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {part for alias in node.names for part in alias.name.split(".")}
            names |= set((getattr(node, "module", None) or "").split("."))
        if names & set(_BESIDE.split()) or isinstance(
            node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith
        ):
            return True
        bare: list[ast.AST | None] = []
        if isinstance(node, ast.ExceptHandler):
            bare = list(ast.walk(node.type)) if node.type else []
        elif isinstance(node, ast.ClassDef):
            bare = [*node.bases]
        elif isinstance(node, ast.Call):
            bare = [inner for given in node.args for inner in (given, *getattr(given, "elts", ()))]
        if any(isinstance(inner, ast.Name) and inner.id in classes for inner in bare):
            return True
    return False


def imported(source: str) -> set[str]:
    """Top-level names of the modules that a source imports, anywhere."""
    tree = parse(source)
    names: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module can be imported here."""
    try:
        return module in sys.builtin_module_names or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def missing_packages(source: str) -> set[str]:
    """Packages that a program imports and that exist, but not here."""
    return {name for name in imported(source) & set(_KNOWN_PACKAGES.split()) if not is_installed(name)}
