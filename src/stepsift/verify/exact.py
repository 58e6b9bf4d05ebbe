"""Exact answers: the same Python literal where the gold answer is one, else the same text but for space and case."""

import ast
import json
import re
import warnings

from stepsift.verify.spelling import formula, peel

_FONT = re.compile(r"\\(?:text|textbf|textit|textrm|texttt|mathrm|mathbf|mathtt|mbox|operatorname)\s*\{([^{}]*)\}")
_SPACES = re.compile(r"\\[ ,;:!]|\\q?quad(?![a-z])|(?<!\\)~")
_SUBSCRIPTS = re.compile(r"\\(?:text|ce)(?=\s*\{)|[{}_\s]")
_SUBSTANCE = re.compile(r"(?=.*\d)(?:[A-Z][a-z]?\d*|[()]\d*){2,}")
_BRACED = re.compile(r"\{(\w)\}")
_SAYS = re.compile(
    r"\b(?:is|are|was|were|be|returns|prints|outputs|equals|becomes|called|known\s+as|falls\s+on)\s+(?=\S)"
)
_SO = re.compile(r"\A\W*(?:so|thus|hence|therefore)\b[,:]?\s+", re.IGNORECASE)
_REST = re.compile(
    r"(?<=[\w*`\"'\])])(?:[.!]\s+(?=[A-Z*`\"])|,?\s+(?:because|since|as|which|who|where|in\s+which)\b|\s+[-\u2013\u2014]\s+"
    r"|\s*\((?![IVX]+\))(?=[^()]{3,80}\)[\s.*]*\Z)).*\Z",
    re.DOTALL,
)
"""What follows an answer in words: a sentence, a reason, a remark in brackets."""
_DOUBT = re.compile(
    r"\b(?:wait|actually|however|but|no|not|nor|rather|instead|than|or|unlike)\b|n['\u2019]t\b", re.IGNORECASE
)
_MARKED = re.compile(r"\*\*([^*]{1,80})\*\*|`([^`]{1,200})`")
_BETWEEN = re.compile(r"(?<=\d)\s*(?:[-\u2013\u2014]|\bto\b)\s*(?=\d)")
"""Of a range or a score: 3-2, 3 – 2, 3 to 2."""
_ASSERT = re.compile(r"assert\s.{1,500}==\s*(.+)", re.DOTALL)
_FIRST_WORD = re.compile(
    r"(?:(?:so|thus|hence|therefore)[,:]?\s+)?(yes|no|true|false)\b"
    r"(?:\s*[,.;:!(]|\s+(?:because|since|as|[-\u2013\u2014])(?!\w)|\Z)"
)
_NOTHINGS = {
    "no solution": re.compile(
        r"(?:.{0,200}\b(?:has|have|is|are|exists?|therefore|so|thus|hence)\b,?\s+)?no\s+(?:\w+\s+){0,2}?(?:solutions?|roots?)"
        r"(?:\s+exists?)?|\\emptyset|\\?\{\s*\\?\}"
    ),
    "not there": re.compile(r"(?:.{0,200}\s)?(?:does\s+not|doesn['\u2019]t)\s+exist|dne"),
}
"""Ways to say that an equation has no solution, and that a limit or a number does not exist."""
_NOTHING_CHARS = 300
LITERAL_CHARS = 10_000
"""Longer texts are compared as text only."""


def same(gold: str, answer: str) -> bool:
    """Whether an answer is the gold answer.

    Literals are the same where Python says so and both are of one type: (1, 2) is not [1, 2], True is not 1. A gold
    answer that is a text literal also accepts the text with broken or no quotes, unless what stands there is another
    literal: 5 is not '5'. Words are compared without LaTeX, Markdown and a full stop; of an answer to a yes-or-no
    question the first word counts, and of a sentence what it says of its subject.
    """
    value = literal(gold)
    # What a program prints in Python is not what JSON would write: False is not false.
    reads = literal if _python(gold) is None else _python
    text = value is not None and isinstance(value[0], str | bytes)
    forms = list(dict.fromkeys(form for one in _within(answer) for form in _code_forms(one)))
    for form in forms if text else [*forms, peel(answer), without_latex(answer)]:
        other = reads(form)
        if value is None or (other is None and value[0] in (True, False, None)):
            if same_words(gold, form):
                return True
        elif other is not None:
            if type(other[0]) is type(value[0]) and other[0] == value[0]:
                return True
        elif value[0] in (form, _unquoted(form)):
            return True
    return False


def same_words(gold: str, answer: str) -> bool:
    """Whether two texts are the same words."""
    words = _words(gold)
    if not words:
        return _folded(gold) == _folded(answer)
    other = _words(answer)
    if words in (other, other.rstrip("!").rstrip()):
        return True
    first = _FIRST_WORD.match(other)
    if words in ("yes", "no", "true", "false") and first is not None and first[1] == words:
        return True
    return "\\" in gold and "\\" in answer and _tight(gold) == _tight(answer)


def _tight(text: str) -> str:
    r"""A formula that nobody can read, without blanks and the braces around one sign: \pmod 3 and \pmod{3}."""
    return _BRACED.sub(r"\1", "".join(formula(peel(text)).split()))


def same_substance(gold: str, answer: str) -> bool:
    r"""Whether two texts are one chemical formula: CO2, CO₂, `\text{CO}_2` and `\ce{CO2}`."""
    if len(gold) > 60 or len(answer) > 120:
        return False
    one = _SUBSCRIPTS.sub("", formula(peel(gold)))
    forms = (_SUBSCRIPTS.sub("", formula(peel(form))) for form in (answer, _said(answer) or ""))
    return _SUBSTANCE.fullmatch(one) is not None and one in forms


def same_nothing(gold: str, answer: str) -> bool:
    r"""Whether both say that there is no solution (also `\emptyset`), or both that something does not exist."""
    kind = nothing(gold)
    return kind is not None and kind == nothing(answer)


def nothing(text: str) -> str | None:
    """`no solution` or `not there`, which a text says in its own words; None where it says something else."""
    words = _words(text[-_NOTHING_CHARS:])
    forms = (words, formula(words).strip())
    return next((kind for kind, pattern in _NOTHINGS.items() if any(map(pattern.fullmatch, forms))), None)


def only_numbers(values: object) -> bool:
    """Whether a literal is numbers, or holds nothing else."""
    if isinstance(values, tuple | list | set):
        return all(map(only_numbers, values))
    return isinstance(values, int | float) and not isinstance(values, bool)


def _words(text: str) -> str:
    """Words without fonts, markup and an article before them, in lower case."""
    plain = _folded(peel(_SPACES.sub(" ", _FONT.sub(r"\1", peel(text)))).replace("**", ""))
    plain = _BETWEEN.sub("-", plain)
    return re.sub(r"\A(?:the|an?)\s+(?=\S)", "", plain)


def _code_forms(answer: str) -> list[str]:
    """The answer as it stands, without code marks, and without a full stop that ends its sentence."""
    plain = answer.strip()
    bare = plain.strip("*").strip("`").strip()
    return list(dict.fromkeys([plain, bare, bare.removesuffix(".").rstrip().strip("`")]))


def without_latex(text: str) -> str:
    """A literal out of a formula: `\\{1, 2\\}`, `\\left[1, 2\\right]`, `\\text{True}`."""
    text = _SPACES.sub(" ", _FONT.sub(r"\1", peel(text)))
    return peel(
        text.replace("\\left", "").replace("\\right", "").replace("\\{", "{").replace("\\}", "}").replace("\\_", "_")
    )


def _within(answer: str) -> list[str]:
    """An answer, what it says of its subject, each without what follows it, and its only part in bold or code."""
    parts = [_SO.sub("", answer)]
    rest = _REST.search(answer)
    if rest and not _DOUBT.search(rest[0]):
        parts.append(_SO.sub("", answer[: rest.start()]))
    marked = _MARKED.findall(answer)
    if len(marked) == 1 and not _DOUBT.search(answer):
        parts.append("".join(marked[0]))
    asserted = _ASSERT.fullmatch(answer.strip())
    if asserted:
        parts.append(asserted[1])
    return [answer, *parts, *(said for part in (answer, *parts[:2]) if (said := _said(part)))]


def opens_with(gold: str, text: str) -> bool:
    """Whether the answer to a yes-or-no question stands on a text's first line, and no later line says it anew."""
    first, _, rest = text.strip().partition("\n")
    opening = _FIRST_WORD.match(_words(first))
    return (
        _words(gold) in ("yes", "no", "true", "false")
        and opening is not None
        and opening[1] == _words(gold)
        and not re.search(r"\b(?:yes|no|true|false|wait|actually)\b", rest, re.IGNORECASE)
    )


def _said(answer: str) -> str | None:
    """What a sentence says of its subject (The day is Friday.); None where it leaves a choice."""
    verbs = list(_SAYS.finditer(answer))
    if not verbs or re.search(r"\bor\b", answer[: verbs[-1].start()]):
        return None
    return answer[verbs[-1].end() :].strip()


def _unquoted(text: str) -> str:
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def literal(text: str) -> tuple[object] | None:
    """The value of a literal of Python or JSON, in a tuple because None is one; None where the text is no literal."""
    return _python(text) or _json(text.strip())


def _python(text: str) -> tuple[object] | None:
    if len(text) > LITERAL_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            # "\\d" in an answer is no reason to warn about our own source.
            warnings.simplefilter("ignore")
            return (ast.literal_eval(text.strip()),)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _json(text: str) -> tuple[object] | None:
    """A list or an object of JSON, whose true, false and null are no Python."""
    if len(text) > LITERAL_CHARS or not text.startswith(("{", "[")):
        return None
    try:
        return (json.loads(text),)
    except (ValueError, RecursionError):
        return None
