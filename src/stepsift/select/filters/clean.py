"""The last look at what is exported: no prompt of it is an evaluation question.

Not the filter called again but code of its own, on another normal form: if the filter has a fault or was switched off,
this says so. It compares whole messages and knows nothing of runs of words.
"""

import re
import unicodedata
from collections.abc import Iterator

import polars as pl

from stepsift.core.errors import SelectionError
from stepsift.select.questions import Questions

_OPERATORS = frozenset("+*/^=<>%-")
"""Told apart here, since 3 + 4 is not 3 - 4."""
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")


def check_clean(examples: Iterator[pl.DataFrame], questions: Questions) -> None:
    """Raise SelectionError where a message of a prompt is an evaluation question, up to case, blanks and punctuation.

    `examples` are frames with the columns prompt_id, prompt (chat messages) and trace_id.
    """
    of_tests = {
        normal_form(text): f"question {number} of task '{task}'"
        for task, number, *texts in reversed(questions.rows.select("task", "number", "text", "core").rows())
        for text in texts
        if text is not None
    }
    of_tests.pop("", None)
    for frame in examples:
        prompts = frame.unique("prompt_id").sort("prompt_id")
        for prompt_id, messages in prompts.select("prompt_id", "prompt").iter_rows():
            for message in messages:
                question = of_tests.get(normal_form(message["content"] or ""))
                if question is not None:
                    raise SelectionError(
                        f"prompt {prompt_id} was selected for training and is {question}; set "
                        "select.filters.decontaminate (13 is usual), or take the prompt out of the sources or the "
                        "question out of the task"
                    )


def normal_form(text: str) -> str:
    """Lower-cased letters, marks, digits and operators after NFKC; what stands between them is one blank."""
    lower = unicodedata.normalize("NFKC", text).lower()
    return " ".join(_HYPHEN.sub(" ", lower).translate(_TABLE).split())


class _Table(dict[int, str]):
    """What becomes of a character, looked up once."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = unicodedata.category(character)[0] in "LMN"
        self[code] = character if kept else f" {character} " if character in _OPERATORS else " "
        return self[code]


_TABLE = _Table()
