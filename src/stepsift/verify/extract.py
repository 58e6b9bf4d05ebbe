r"""The final answer of a response, before anyone asks whether it is right.

Only what follows the reasoning counts. The first of these that the answer holds is taken:

1. the last `\boxed{...}` whose braces balance,
2. a last line that begins with `####` (GSM8K),
3. what the last "answer is", "answer:", "answer =" or heading "Final answer" says: a code block, the rest of the
   line, or the next line if nothing follows; of a mathematical answer the first sentence with a digit or a formula,
4. the last line; of a mathematical answer the last sentence with a digit or a formula.

The search looks at the last TAIL_CHARS characters, so that a runaway response costs no more than another.
"""

import re

from stepsift.core.text import CLOSE, OPEN

TAIL_CHARS = 20_000
LINE_CHARS = 2_000
"""Longest answer that is looked at."""

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_PHRASE = re.compile(
    r"\banswer\b[*_`]*\s*(?:\bis\b|:|=)[:*_ \t]*|^\W*(?:final\s+)?answer\W*\n|答案[是为:\uff1a]",
    re.IGNORECASE | re.MULTILINE,
)
_END_TOKENS = re.compile(r"(?:\s*(?:<\|?[A-Za-z_/]+\|?>))+\Z")
_MATHS = re.compile(r"[\d$\\\\]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*\\$])|(?<=。)")
_LAST_LINES = _BOXES = 50
_FENCE = re.compile(r"\s*```\w*\s*\n(.*?)\n?\s*```", re.DOTALL)


def conclusion(response: str) -> str | None:
    """What a response says after its reasoning, without end tokens left in; None where it never gets there."""
    before, close, after = response.rpartition(CLOSE)
    if not close and before == "" and after.startswith(OPEN):
        return None
    text = after[-TAIL_CHARS:]
    return _END_TOKENS.sub("", text).strip() or None


def final_answer(text: str, math: bool = False) -> str | None:
    """The final answer of a conclusion; None where it has none.

    It may be empty: an answer that was announced and is the empty text.
    """
    answer = boxed(text)
    if answer is not None:
        return answer[-LINE_CHARS:]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[-1].startswith("####"):
        return lines[-1].lstrip("#").strip()[:LINE_CHARS]
    said = announced(text)
    if said is not None:
        return (_telling(said)[:1] or [said])[0][:LINE_CHARS] if math else said[:LINE_CHARS]
    if math:
        lines = [sentence for line in lines[-_LAST_LINES:] for sentence in _telling(line)]
    return lines[-1][-LINE_CHARS:] if lines else None


def _telling(line: str) -> list[str]:
    """The sentences of a line that hold a digit or a formula."""
    return [sentence for sentence in _SENTENCE.split(line[-TAIL_CHARS:]) if _MATHS.search(sentence)]


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...} with balanced braces."""
    for match in list(_BOXED.finditer(text))[: -_BOXES - 1 : -1]:
        depth, escaped = 1, False
        for i in range(match.end(), min(len(text), match.end() + LINE_CHARS)):
            c = text[i]
            depth += 0 if escaped else (c == "{") - (c == "}")
            escaped = c == "\\" and not escaped
            if depth == 0:
                return text[match.end() : i].strip()
    return None


def announced(text: str) -> str | None:
    """What follows the last announcement of an answer: a code block, the line's rest, or the next line."""
    matches = list(_PHRASE.finditer(text))
    if not matches:
        return None
    rest = text[matches[-1].end() :]
    fence = _FENCE.match(rest)
    if fence:
        return fence[1].strip()
    line, _, after = rest.partition("\n")
    return line.strip() or after.lstrip().partition("\n")[0].strip()
