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
    r"\b(?:is|are|was|were|be|returns|prints|outputs|equals|becomes|called|known\s+as|falls\s+on|est|es|ist|\u00e9|\u00e8)\s+(?=\S)"
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
_NOT_SAID = re.compile(
    r"\b(?:or|not|never|cannot|whether|doubt|(?:false|untrue)\s+that|unlikely|wrong|incorrect|if|might|(?-i:may)|could|no\s+es|non|n\u00e3o)\b|n['\u2019]t\b"
    r"|(?<!\bi\s)\b(?:think|believe|say|assume|guess|claim(?=\s+(?:that|it)\b))\b|\b(?:is|are|was|were)\b.{0,200}(?:\b(?:and|but|while|whereas)\b|;)[^,;]*\Z",
    re.IGNORECASE,
)
"""Words before a verb that make what follows no answer: another's opinion, a doubt, a second clause."""
_SENTENCE_OF = re.compile(r"(?:The|This|It|Its|His|Her|Their)\b[^,;:.]{0,60}?\s(?:is|are|was|were)\s([^,;:.]{1,60})\.?")
"""A gold answer that is a sentence: The capital is Oslo."""
_PREDICATE = re.compile(r"(?:cannot|can\s?not|does|do|diverges?|converges?|increases|decreases)\b")
_SUBJECT = re.compile(
    r"(?:(?:so|thus|hence|therefore)\b,?\s+)?(?:(?:the|this|that)\s+)?(?!(?:not|never|only)\b)\w+(?:\s+(?!(?:not|never|only)\b)\w+)?\s+"
)
"""What may stand before a gold answer that is what is said of it: The series diverges."""
_MARKED = re.compile(r"\*\*([^*]{1,80})\*\*|`([^`]{1,200})`")
_OPPOSITE = {"true": "false", "false": "true", "yes": "no", "no": "yes"}
_BETWEEN = re.compile(r"(?<=\d)\s*(?:[-\u2013\u2014]|\bto\b)\s*(?=\d)")
"""Of a range or a score: 3-2, 3 – 2, 3 to 2."""
_ASSERT = re.compile(r"assert\s.{1,500}==\s*(.+)", re.DOTALL)
_FIRST_WORD = re.compile(
    r"(?:(?:so|thus|hence|therefore)[,:]?\s+)?(yes|no|true|false)\b"
    r"(?!\W*(?:but\s+)?(?:only\s+)?(?:if|when|unless|provided)\b)(?:\s*[,.;:!(]|\s+(?:because|since|as|[-\u2013\u2014])(?!\w)|\Z)"
)
_NOTHINGS = {
    "no solution": re.compile(
        r"(?:.{0,200}\b(?:has|have|is|are|exists?|therefore|so|thus|hence)\b,?\s+)?no\s+(?:(?:real|valid|such|integer|rational|complex"
        r"|common|possible|feasible|actual)\s+){0,2}(?:solutions?|roots?)(?:\s+exists?)?(?:\s+(?:for|to|of)\s.{1,100})?|\\emptyset|\\?\{\s*\\?\}"
    ),
    "not there": re.compile(r"(?:.{0,200}\s)?(?:does\s+not|doesn['\u2019]t)\s+exist|dne"),
    "infinitely many": re.compile(
        r"(?:(?:so|thus|hence|therefore),?\s+)?(?:(?:there\s+(?:are|is)|\S.{0,80}\bhas)\s+)?(?:infinitely\s+many|an\s+infinite\s+number\s+of)"
        r"(?:\s+(?:real\s+)?(?:solutions?|roots?))?"
    ),
}
"""Ways to say that an equation has no solution or infinitely many, and that a limit or a number does not exist."""
_UNTRUE = re.compile(r"\b(?:false|wrong|incorrect|untrue|not\s+true)\s+that\b")
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
            if _alike(value[0], other[0]):
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
    if words in (other, other.rstrip("!").rstrip()) or _says_of_subject(other, words):
        return True
    sentence = _SENTENCE_OF.fullmatch(gold.strip())
    if sentence and not _NOT_SAID.search(gold) and _words(sentence[1]) == other:
        return True
    first = _FIRST_WORD.match(other)
    if words in ("yes", "no", "true", "false") and first is not None and first[1] == words:
        return True
    return "\\" in gold and "\\" in answer and _tight(gold) == _tight(answer)


def _says_of_subject(answer: str, gold: str) -> bool:
    """Whether an answer is a subject and a gold answer that is what is said of it: the series diverges."""
    return (
        _PREDICATE.match(gold) is not None
        and answer.endswith(gold)
        and _SUBJECT.fullmatch(answer.removesuffix(gold)) is not None
    )


def _alike(one: object, other: object) -> bool:
    """Whether two literals are of one type and equal, and hold truth values at the same places."""
    if type(one) is not type(other) or one != other:
        return False
    return _truths(one) == _truths(other)


def _truths(value: object) -> str:
    """Which parts of a literal are True or False; of a set or the keys of a dictionary only how many."""
    if isinstance(value, list | tuple):
        return f"({''.join(map(_truths, value))})"
    if isinstance(value, dict):
        return "".join(f"{key!r}:{_truths(inner)}" for key, inner in sorted(value.items(), key=repr))
    if isinstance(value, set | frozenset):
        return "".join(sorted(map(_truths, value)))
    return "t" if isinstance(value, bool) else "-"


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
    r"""Whether both say that there is no solution (also `\emptyset`), infinitely many, or no such thing."""
    kind = nothing(gold)
    return kind is not None and kind == nothing(answer)


def nothing(text: str) -> str | None:
    """`no solution`, `not there` or `infinitely many`, which a text says in its own words; else None."""
    words = _words(text[-_NOTHING_CHARS:])
    if _UNTRUE.search(words):
        return None
    forms = (words, formula(words).strip())
    return next((kind for kind, pattern in _NOTHINGS.items() if any(map(pattern.fullmatch, forms))), None)


def other_than_numbers(gold: str, answer: str) -> bool:
    """Whether the gold answer is a literal of several numbers, and the answer one of several other things."""
    if not answer.lstrip().startswith(("[", "(", "{")):
        return False
    one, other = literal(gold), literal(answer)
    several = one is not None and other is not None and all(isinstance(v[0], list | tuple | set) for v in (one, other))
    return one is not None and other is not None and several and only_numbers(one[0]) and not only_numbers(other[0])


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
    if len(marked) == 1 and not _DOUBT.search(_MARKED.sub("", answer)):
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
    """What a sentence says of its subject (The day is Friday.); None where it leaves a choice or a doubt."""
    verbs = list(_SAYS.finditer(answer))
    if not verbs or _NOT_SAID.search(answer[: verbs[-1].start()]):
        return None
    said = answer[verbs[-1].end() :].strip()
    opposite = _OPPOSITE.get(said.strip(" .!*").casefold())
    return None if opposite and re.search(rf"\b{opposite}\b", answer, re.IGNORECASE) else said


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
