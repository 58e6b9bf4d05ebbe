"""Is an answer right: `Verifier` finds a response's answer, reads the gold answer and compares them."""

from collections.abc import Sequence

from stepsift.verify.code.judge import CodeRunner, Outcome, python_block
from stepsift.verify.extract import conclusion
from stepsift.verify.process import JudgeProcess

__all__ = ["KINDS", "Outcome", "Verifier"]

KINDS = ("math", "choice", "exact")
"""Kinds of answers that are compared with a gold answer; the kind `code` is run on tests instead."""

MEMO_GOLDS = 16_384
"""Gold answers whose kinds are remembered."""

Question = tuple[str, str, str | None]
"""(kind, response, gold answer)"""


class Verifier:
    """Gives verdicts; use as a context manager, it may hold a process."""

    def __init__(self, timeout_s: float):
        """`timeout_s`: seconds that one answer may take, from finding it in the response to its verdict."""
        self._process = JudgeProcess(timeout_s)
        self._programs = CodeRunner(timeout_s)
        self._kinds: dict[str, str] = {}

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.__exit__(*exception)

    def verdict(self, kind: str, response: str, gold: str | None) -> str:
        """correct, wrong, timeout, unparsed (no answer found, or not readable) or unchecked (nothing to compare)."""
        return self.verdicts([(kind, response, gold)])[0][0]

    def verdicts(self, questions: Sequence[Question]) -> list[tuple[str, bool]]:
        """(verdict, suspect) of each question; suspect: not correct, but the last line holds the gold answer."""
        judged: list[tuple[str, bool]] = []
        jobs, places = [], []
        for kind, response, gold in questions:
            if gold is None or kind not in KINDS:
                judged.append(("unchecked", False))
                continue
            # None where the reasoning never ends. Only the conclusion goes to the process: reasoning may be long.
            text = conclusion(response)
            judged.append(("unparsed", False))
            if text is not None:
                places.append(len(judged) - 1)
                jobs.append(("judge", kind, text, gold))
        for place, reply in zip(places, self._process.ask_all(jobs), strict=True):
            judged[place] = _judgement(reply)
        return judged

    def kind_of(self, gold: str) -> str:
        """How a gold answer is compared: the first reading (choice, math, exact) that accepts the answer itself.

        `none` where it is a whole solution in words, with which nothing can be compared.
        """
        return self.kinds_of([gold])[gold]

    def kinds_of(self, golds: Sequence[str]) -> dict[str, str]:
        """Each gold answer to how it is compared, see `kind_of`."""
        unknown = [gold for gold in dict.fromkeys(golds) if gold not in self._kinds]
        if len(self._kinds) + len(unknown) > MEMO_GOLDS:
            self._kinds.clear()
            unknown = list(dict.fromkeys(golds))
        replies = self._process.ask_all([("kind_of", gold) for gold in unknown])
        self._kinds |= {
            gold: reply if reply in (*KINDS, "none") else "exact" for gold, reply in zip(unknown, replies, strict=True)
        }
        return {gold: self._kinds[gold] for gold in golds}

    def accepts(self, kind: str, gold: str) -> bool:
        """Whether the verifier calls the gold answer itself correct, which it should before it judges others."""
        return self._process.ask("accepts", kind, gold) is True

    def same_gold(self, one: str, other: str) -> bool:
        """Whether two gold answers are one answer in different spellings."""
        return one == other or self._process.ask("same_gold", one, other) is True

    def run_tests(self, response: str, tests: str | None, prompt: str) -> Outcome:
        """Verdict and reason (code.REASONS) of a response with a program, which runs in a sandbox.

        `prompt` is the text of the prompt's last message. Without a sandbox on this machine the verdict is unchecked.
        """
        return self._programs.judge(response, tests, prompt)

    def passes(self, gold: str, tests: str, prompt: str) -> Outcome:
        """As `run_tests`, of a gold solution, which may be source without a Markdown block around it."""
        return self._programs.judge_source(python_block(gold) or gold, tests, prompt)


def _judgement(reply: object) -> tuple[str, bool]:
    if reply is None:
        return ("timeout", False)
    return (str(reply[0]), bool(reply[1])) if isinstance(reply, list) else ("unparsed", False)
