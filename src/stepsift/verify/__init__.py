"""Is an answer right: one module for each kind of answer, and `Verifier`, which asks the one that is meant."""

import re
from collections import OrderedDict

from stepsift.verify import choice, exact
from stepsift.verify.code.judge import CodeRunner, Outcome, python_block
from stepsift.verify.extract import boxed, conclusion, final_answer
from stepsift.verify.kinds import kind_of
from stepsift.verify.math import MathWorker

__all__ = ["KINDS", "Outcome", "Verifier", "kind_of"]

KINDS = ("math", "choice", "exact")
"""Kinds of answers that are compared with a gold answer; the kind `code` is run on tests instead."""

MEMO_ANSWERS = 16_384
"""Distinct (kind, gold, answer) triples whose verdicts are remembered."""

_GSM8K = re.compile(r"^####\s*(.+)\s*\Z", re.MULTILINE)


class Verifier:
    """Gives verdicts; use as a context manager, it may hold a process."""

    def __init__(self, timeout_s: float):
        """`timeout_s`: seconds that one answer may take."""
        self._worker = MathWorker(timeout_s)
        self._programs = CodeRunner(timeout_s)
        self._memo: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(self, *exception: object) -> None:
        self._worker.__exit__(*exception)

    def verdict(self, kind: str, response: str, gold: str | None) -> str:
        """correct, wrong, timeout, unparsed (no answer found, or not readable) or unchecked (nothing to compare)."""
        if gold is None or kind not in KINDS:
            return "unchecked"
        text = conclusion(response)
        if text is None:
            return "unparsed"
        answer = choice.final_letter(text) if kind == "choice" else final_answer(text, math=kind == "math")
        return "unparsed" if answer is None else self._compare(kind, short_gold(gold), answer)

    def accepts(self, kind: str, gold: str) -> bool:
        """Whether the verifier calls the gold answer itself correct, which it should before it judges others."""
        if kind == "choice":
            return choice.letter(gold) is not None
        short = short_gold(gold)
        return self._compare(kind, short, short) == "correct"

    def run_tests(self, response: str, tests: str | None, prompt: str) -> Outcome:
        """Verdict and reason (code.REASONS) of a response with a program, which runs in a sandbox.

        `prompt` is the text of the prompt's last message. Without a sandbox on this machine the verdict is unchecked.
        """
        return self._programs.judge(response, tests, prompt)

    def passes(self, gold: str, tests: str, prompt: str) -> Outcome:
        """As `run_tests`, of a gold solution, which may be source without a Markdown block around it."""
        return self._programs.judge_source(python_block(gold) or gold, tests, prompt)

    def _compare(self, kind: str, gold: str, answer: str) -> str:
        key = (kind, gold, answer)
        if key in self._memo:
            self._memo.move_to_end(key)
            return self._memo[key]
        if kind == "math":
            found = self._worker.judge(gold, answer)
        elif kind == "choice":
            found = "correct" if choice.letter(gold) == answer else "wrong"
        else:
            found = "correct" if exact.same(gold, answer) else "wrong"
        self._memo[key] = found
        if len(self._memo) > MEMO_ANSWERS:
            self._memo.popitem(last=False)
        return found


def short_gold(gold: str) -> str:
    """The answer within a gold answer: of a whole solution the boxed part or what follows `####`, else all of it."""
    box = boxed(gold)
    if box is not None:
        return box
    marked = _GSM8K.search(gold)
    return (marked[1] if marked else gold).strip()
