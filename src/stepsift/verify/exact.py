"""Exact answers: the same Python literal where the gold answer is one, else the same text but for space and case."""

import ast
import warnings

LITERAL_CHARS = 10_000
"""Longer texts are compared as text only."""


def same(gold: str, answer: str) -> bool:
    """Whether an answer is the gold answer.

    Literals are the same where Python says so and both are of one type: (1, 2) is not [1, 2], True is not 1. A gold
    answer that is a text literal also accepts the text with broken or no quotes, unless what stands there is another
    literal: 5 is not '5'.
    """
    wanted = _literal(gold)
    for form in _forms(answer):
        found = _literal(form)
        if wanted is None or (found is None and wanted[0] in (True, False, None)):
            if _folded(gold) == _folded(form):
                return True
        elif found is not None:
            if type(found[0]) is type(wanted[0]) and found[0] == wanted[0]:
                return True
        elif wanted[0] in (form, _unquoted(form)):
            return True
    return False


def _forms(answer: str) -> list[str]:
    """The answer as it stands, without code marks, and without a full stop that ends its sentence."""
    plain = answer.strip()
    bare = plain.strip("*").strip("`").strip()
    return list(dict.fromkeys([plain, bare, bare.removesuffix(".").rstrip().strip("`")]))


def _unquoted(text: str) -> str:
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _literal(text: str) -> tuple[object] | None:
    """The value of a Python literal, in a tuple because None is one; None where the text is no literal."""
    if len(text) > LITERAL_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            # "\\d" in an answer is no reason to warn about our own source.
            warnings.simplefilter("ignore")
            return (ast.literal_eval(text.strip()),)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
