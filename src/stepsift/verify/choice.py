"""Multiple choice: the letter, A to J, that a response ends on."""

import re

from stepsift.verify import extract

_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathbf|mathrm|boldsymbol|bf|rm)\s*\{([^{}]*)\}")
_MARKUP = str.maketrans("", "", "*_`$")
_STARTS = re.compile(r"(?:option|choice|answer)?\s*:?\s*\(?\s*([A-Ja-j])\s*(?:[).:,;]|\Z)", re.IGNORECASE)
_SAID = re.compile(
    r"\b[Aa]nswers?(?:\s*:|\s+(?:is|are|would be|must be|should be)\b)\s*:?\s*(?:\\[\[(]\s*)?"
    r"(?:(?:[Oo]ption|[Cc]hoice)\s+)?\(?([A-J])\b(?!['\u2019-])"
)
_MARKED = re.compile(r"(?<!\w)\(([A-J])\)")
_LONE = re.compile(r"\(?([A-J])\)?\.?")


def letter(text: str) -> str | None:
    """The letter of a gold answer or of a boxed one: `D`, `(D)`, `d`, `D. its text`, `\\text{(D)}`; None if none."""
    match = _STARTS.match(_plain(text))
    return match[1].upper() if match else None


def final_letter(conclusion: str) -> str | None:
    """The letter on which a conclusion ends; None where it names none.

    A boxed letter, else the last "answer is (D)" or "Answer: D", else a last line that is only a letter, else the last
    letter in parentheses on the last line.
    """
    box = extract.boxed(conclusion)
    if box is not None and (found := letter(box)):
        return found
    text = _plain(conclusion)
    said = _SAID.findall(text)
    if said:
        return said[-1]
    last = text.rpartition("\n")[2].strip()
    lone = _LONE.fullmatch(last)
    if lone:
        return lone[1]
    marked = _MARKED.findall(last)
    return marked[-1] if marked else None


def _plain(text: str) -> str:
    """`text` without emphasis, dollar signs and font commands."""
    return _COMMAND.sub(r"\1", text).translate(_MARKUP).strip()
