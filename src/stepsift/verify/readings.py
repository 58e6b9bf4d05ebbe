r"""What a mathematical answer may mean: the formulas that are handed to math-verify.

An answer without words is a formula as it stands. An answer in words ("It takes John **12 minutes** to speak 10
pages.") is read by the first of these that it has: what is in bold, what is marked as a formula, and, for a gold answer
that is a number, the first number after the last "=" or "is", or the first of all. Only a number is looked for among
words: the last number of 2x + 3 is not its value. A number that stands in a choice or a range (5 or 6, between 10 and
20) is no answer: nothing is read.
"""

import re

from stepsift.verify.kinds import is_number

_WORD = re.compile(r"(?<![\\A-Za-z{])(?!(?:sin|cos|tan|cot|sec|log|ln|exp|pi|sqrt|inf)\b)[A-Za-z]{2,}|[\u3040-\u9fff]")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\s*\{[^{}]*\}")
_MARKED = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]|\$\$(.+?)\$\$|\$([^$]*[^$\s\\])\$(?!\d)", re.DOTALL)
_BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
_VALUE = re.compile(
    r"(?:(?<!\w)-)?(?:(?<!\w)\.\d+|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?)(?:\s*/\s*\d+)?(?:\s*\\?%)?"
)
_SEVERAL = re.compile(rf"(?:,\s*\$?{_VALUE.pattern})*,?\s*(?:\b(?:or|and|to)\b|[-\u2013])\s*\$?{_VALUE.pattern}")
_EQUALS = re.compile(r"(?:=|\b(?:is|are|be|equals)\b)(?=[^=]*?\d)")
_PERCENT = re.compile(r"(.*\d)\s*\\?%\s*", re.DOTALL)
_UNITS = re.compile(r"\s+[A-Za-z][A-Za-z\s.]*\Z")
_SIGNS = {"\\$": "", "\\!": "", "\\,": "", "{,}": "", "€": "", "£": ""} | {
    "\N{MINUS SIGN}": "-",
    "\N{MULTIPLICATION SIGN}": "\\times ",
    "\N{GREEK SMALL LETTER PI}": "\\pi ",
    "\N{INFINITY}": "\\infty ",
}
_ROOT = re.compile(r"√\s*(\d+|[a-zA-Z]|\(([^()]*)\))")


def formulas(answer: str, gold: str) -> list[str]:
    """The formulas that an answer may mean, best first; none where it holds nothing to read."""
    text = _plain(answer)
    if not _WORD.search(_TEXT.sub("", text)) and not _MARKED.search(text):
        return _spelled(text)
    number = is_number(gold)
    marked = [next(part for part in m if part) for m in _MARKED.findall(text)]
    bold = _BOLD.findall(text)
    if bold and (_VALUE.search(bold[-1]) or not number):
        return formulas(bold[-1], gold) if "**" not in bold[-1] else []
    if marked:
        return _spelled(marked[-1])
    if number:
        after = [m.end() for m in _EQUALS.finditer(text)]
        value = _VALUE.search(text, after[-1] if after else 0)
        return _spelled(value[0]) if value and not _SEVERAL.match(text, value.end()) else []
    return _spelled(_UNITS.sub("", text.rpartition(" is ")[2]))


def _spelled(formula: str) -> list[str]:
    """A formula without what is around it; a percentage also as its number and as the share that it is."""
    bare = formula.strip().strip("*`$ ").removesuffix(".").strip()
    percent = _PERCENT.fullmatch(bare)
    if percent:
        return [percent[1], f"({percent[1]})/100"]
    return [bare] if bare else []


def _plain(text: str) -> str:
    for sign, spelled in _SIGNS.items():
        text = text.replace(sign, spelled)
    return _ROOT.sub(lambda m: f"\\sqrt{{{m[2] or m[1]}}}", text).strip()
