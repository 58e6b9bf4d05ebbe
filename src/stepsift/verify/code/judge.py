"""Programs: an answer is right when it passes the tests of its prompt, in a sandbox that it cannot leave.

The answer is the last Python block of the conclusion. Where the prompt itself holds code that defines what the tests
call (HumanEval), that code stands before the answer, which may then be a mere continuation. Expected outputs are
compared out here; tests that are asserts run in a process of their own (sandbox_grader.py), or beside the answer where
they need its objects.

A verdict `unchecked` is decided out here: what a program reports can only make it wrong, or late.
"""

import hashlib
import json
import logging
import math
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from stepsift.verify.code import sandbox
from stepsift.verify.code.code_names import missing_packages, plan
from stepsift.verify.code.code_tests import (
    MOST_PROGRAM_CHARS,
    Tests,
    compiles,
    defined,
    parse,
    read_tests,
    same_output,
    same_value,
)
from stepsift.verify.extract import conclusion

log = logging.getLogger(__name__)

REASONS = {
    "passed": "correct",
    "passed_together": "correct",
    "wrong_answer": "wrong",
    "error": "wrong",
    "exited": "wrong",
    "memory": "wrong",
    "processes": "wrong",
    "files": "wrong",
    "outside": "wrong",
    "network": "wrong",
    "output": "wrong",
    "crash": "wrong",
    "length": "wrong",
    "time": "timeout",
    "no_code": "unparsed",
    "no_tests": "unchecked",
    "bad_tests": "unchecked",
    "missing_module": "unchecked",
    "isolation": "unchecked",
    "sandbox": "unchecked",
}
"""Reason to verdict. passed_together: the tests need objects of the answer, so they ran in its process, where a
hostile program could forge it; error: an exception without a word of its own; exited: it ended before its tests
did; files: disk space, size or number of files; outside: a file that is not there or closed to it; crash: a signal
ended it; length: it is longer than any program of a kind; no_code: the conclusion has no Python block; no_tests,
bad_tests: there are none that would be run, or they are no Python; missing_module: a package that exists but is not
installed; isolation: no sandbox on this machine; sandbox: it did not start."""

RUN_REASONS = frozenset(reason for reason, verdict in REASONS.items() if verdict in ("wrong", "timeout"))
"""Those that a program may report."""

MEMO_ANSWERS = 16_384
"""Distinct answers whose outcomes are remembered."""
_PYTHON = ("python", "python3", "py")


@dataclass(frozen=True)
class Outcome:
    """What became of an answer."""

    verdict: str
    """One of tables.VERDICTS."""
    reason: str
    """One of REASONS."""


def outcome(reason: str) -> Outcome:
    """The outcome for a reason."""
    return Outcome(REASONS[reason], reason)


class NotStartedError(Exception):
    """The sandbox did not start, so nothing of an answer ran."""


class CodeRunner:
    """Judges programs; looks for a sandbox when the first one comes."""

    def __init__(self, timeout_s: float):
        """`timeout_s`: seconds for an answer on all of its tests."""
        self.timeout_s = timeout_s
        self.limits = sandbox.Limits(cpu_s=math.ceil(timeout_s) + 1)
        self._sandbox: sandbox.Sandbox | None = None
        # By digest: functools.lru_cache would keep programs and tests themselves, up to a megabyte each.
        self._memo: OrderedDict[bytes, Outcome] = OrderedDict()

    @property
    def sandbox(self) -> sandbox.Sandbox:
        """The sandbox, or one without a command; that there is none is said in the log, once."""
        if self._sandbox is None:
            self._sandbox = sandbox.find()
            if not self._sandbox.command:
                log.warning(
                    "programs are not run and stay unchecked, since nothing isolates them on this machine: %s",
                    self._sandbox.reason,
                )
        return self._sandbox

    def judge(self, response: str, tests: str | None, prompt: str) -> Outcome:
        """The outcome of a response; `prompt` is the text of the prompt's last message."""
        text = conclusion(response)
        source = None if text is None else python_block(text)
        return outcome("no_code") if source is None else self.judge_source(source, tests, prompt)

    def judge_source(self, source: str, tests: str | None, prompt: str) -> Outcome:
        """The outcome of a Python source."""
        expected = None if tests is None else read_tests(tests)
        if expected is None:
            return outcome("no_tests")
        if expected.mode == "asserts" and not compiles(expected.inputs[0]):
            return outcome("bad_tests")
        if not self.sandbox.command:
            return outcome("isolation")
        if len(source) > MOST_PROGRAM_CHARS:
            return outcome("length")
        program = with_prompt(source, prompt, expected)
        key = hashlib.blake2b(json.dumps([program, tests, prompt]).encode()).digest()
        if key not in self._memo:
            asserted = expected.mode == "asserts"
            try:
                reason = self._on_asserts(program, expected, prompt) if asserted else self._on_inputs(program, expected)
            except NotStartedError:
                return outcome("sandbox")
            self._memo[key] = outcome(reason)
            if len(self._memo) > MEMO_ANSWERS:
                self._memo.popitem(last=False)
        return self._memo[key]

    def _on_inputs(self, program: str, tests: Tests) -> str:
        """The reason for a program that is run on each input, or of which a function is called."""
        job = {"mode": tests.mode, "code": program, "inputs": tests.inputs, "name": tests.name}
        results = self._results(job)
        for result, expected in zip(results, tests.outputs, strict=False):
            if result["reason"] is not None:
                return _reported(result["reason"], program)
            reason = _compared(tests.mode, result, expected)
            if reason != "passed":
                return reason
        return "passed" if len(results) == len(tests.inputs) else "exited"

    def _on_asserts(self, program: str, tests: Tests, prompt: str) -> str:
        """The reason for a program on tests that are asserts: apart from them, else together with them."""
        apart = plan(tests, code_of(prompt), prompt, program)
        if not apart.beside:
            (result,) = self._results({"mode": "apart", "code": program, "inputs": [""]}, apart.grader(tests))
            if result["reason"] is not None:
                return _reported(result["reason"], program)
            # The grader's word, which no answer can write.
            if result["value"] != "together":
                return str(result["value"])
        token = secrets.token_hex(16)
        job = {"mode": "together", "code": program, "inputs": tests.inputs, "token": token}
        (result,) = self._results({**job, "subjects": sorted(apart.subjects)})
        if result["reason"] is not None:
            return _reported(result["reason"], program)
        if result["value"] is None:
            return "exited"
        return "passed_together" if result["value"] == token else "wrong_answer"

    def _results(self, job: dict[str, Any], plan: dict[str, Any] | None = None) -> list[dict[str, str | None]]:
        """What the sandbox gives for a job; raises NotStartedError where it did not start, which is tried twice."""
        for last in (False, True):
            results = self.sandbox.run(job, self.timeout_s, self.limits, plan)
            if results == "time":
                return [{"reason": "time", "output": "", "value": None}]
            if not isinstance(results, str):
                return results
            if last:
                log.warning("the sandbox did not start for one answer: %s", results)
        raise NotStartedError


def _reported(reason: str, program: str) -> str:
    """The reason to believe where a run ended with one that the answer may have written."""
    if reason == "missing_module":
        return reason if missing_packages(program) else "error"
    return reason if reason in RUN_REASONS else "error"


def _compared(mode: str, result: dict[str, str | None], expected: object) -> str:
    """The reason for a run on one input that ended well."""
    if mode == "stdin":
        return "passed" if same_output(result["output"] or "", str(expected)) else "wrong_answer"
    if result["value"] is None:
        return "exited"
    try:
        return "passed" if same_value(json.loads(result["value"]), expected) else "wrong_answer"
    except (ValueError, TypeError, RecursionError):
        return "wrong_answer"


def python_block(text: str) -> str | None:
    """The last closed Markdown block marked as Python, else the last one without a language; None if there is none."""
    marked: list[str] = []
    plain: list[str] = []
    lines: list[str] = []
    fence, into, indent = "", plain, 0
    for line in text.split("\n"):
        bare = line.strip()
        if not fence and bare.startswith("```"):
            fence = bare[: len(bare) - len(bare.lstrip("`"))]
            language = bare[len(fence) :].strip().partition(" ")[0].lower()
            into = marked if language in _PYTHON else plain if not language else []
            lines, indent = [], len(line) - len(line.lstrip())
        elif fence and bare == fence:
            into.append("\n".join(lines) + "\n")
            fence = ""
        elif fence:
            # A block within a list is indented as a whole.
            lines.append(line[indent:] if not line[:indent].strip() else line)
    blocks = marked or plain
    return blocks[-1] if blocks else None


def code_of(prompt: str) -> str:
    """The code in a prompt, which may be all of it; empty where it is too long to be read."""
    code = python_block(prompt) or prompt
    return code if len(code) <= MOST_PROGRAM_CHARS else ""


def with_prompt(source: str, prompt: str, tests: Tests) -> str:
    """The program to run: the answer, behind the prompt's code where that defines a name that the tests need."""
    given = code_of(prompt)
    tree = parse(given)
    if tree is None or not defined(tree) & tests.needs:
        return source
    # A continuation may have lost the indentation of its first line.
    indented = f"{given}\n    {source}"
    whole = f"{given}\n{source}"
    return indented if not compiles(whole) and compiles(indented) else whole
