"""Answers to local tasks that name a verifier, judged as ingest judges traces."""

import json
from typing import Any

from stepsift.core.errors import EvaluationError
from stepsift.tasks import Verified
from stepsift.verify import Verifier

_REASONS = {
    "isolation": "programs are not run without a sandbox; install bubblewrap or allow user namespaces",
    "no_tests": "it has no tests that can be run (fields tests, or test and entry_point)",
    "bad_tests": "its tests are no Python",
}
_OF_THE_ANSWER = ("missing_module", "sandbox")
"""Reasons for no verdict that lie in the answer; it is not right."""


def judge(verifier: Verifier, where: str, how: Verified, row: dict[str, Any], text: str) -> str:
    """The verdict on an answer (tables.VERDICTS); `row` is the question's row, `where` names it in an error.

    Raises EvaluationError where the row has nothing to compare with, or nothing isolates programs on this machine.
    """
    tests, gold = _tests(row), _text(row.get(how.answer))
    kind = how.kind
    if kind == "auto":
        kind = "code" if tests is not None else verifier.kind_of(gold) if gold is not None else "math"
    if kind == "code":
        outcome = verifier.run_tests(text, tests, str(row.get(how.prompt, "")))
        verdict, why = outcome.verdict, outcome.reason
    else:
        verdict, why = verifier.verdict(kind, text, gold), f"its row has nothing in '{how.answer}'"
        if kind == "none":
            why = f"'{how.answer}' is a whole solution in words; name a field with a short answer, or set verify: exact"
    if verdict == "unchecked" and why not in _OF_THE_ANSWER:
        raise EvaluationError(f"{where} cannot be graded: {_REASONS.get(why, why)}")
    return verdict


def _tests(row: dict[str, Any]) -> str | None:
    """The tests of a row as ingest takes them: the field `tests`, or HumanEval's `test` with `entry_point`."""
    if row.get("tests") is not None:
        return _text(row["tests"])
    if row.get("test") is not None:
        return json.dumps({"test": row["test"], "entry_point": row.get("entry_point")})
    return None


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
