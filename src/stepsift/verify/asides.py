"""What a response says that is not its answer: withdrawn answers, those of others, checks, what is given, headings."""

import re

_WITHDRAWN = re.compile(
    r"\b(?:(?:no|hold\s+on|oh),?\s+wait\b|hold\s+on\W{1,3}(?=(?:it|that)\b)|wait\W{1,3}(?=no\b|(?:that|this)(?:['\u2019]s|\s+is)\s+(?:not|wrong|incorrect)"
    r"|i\s+(?:made|mis|forgot)|it\s+(?:is|should))|scratch\s+that\b|(?<=\?\s)no\b(?=,?\s+it(?:['\u2019]s|\s+is)\b)|actually,?\s+(?=it(?:['\u2019]s|\s+is|\s+should\s+be)\s+\W{0,3}\d)|correction:|i\s+made\s+an?\s+(?:\w+\s+)?(?:mistake|error)\b)",
    re.IGNORECASE,
)
"""The answer is 12. No wait, .."""
_OF_OTHERS = re.compile(
    r"(?<!\d\s)\b(?:wrong|incorrect|mistaken|erroneous|na[i\u00ef]ve|tempting)\s+(?:\w+\s+)?(?:answer|result|guess|value)\b"
    r"|\bsecond[\s-]best\b|\btempt(?:ed|ing)\s+to\b"
    r"|\b(?:(?:some|many|most)(?:\s+(?:people|students|readers|others))?|one(?=\s+(?:might|may|could))|(?<!\d\s)people)\s+"
    r"(?:(?:might|may|could|would|will|often|mistakenly|wrongly|incorrectly)\s+){0,2}"
    r"(?:say|think|believe|guess|claim|(?:choose|pick|select)\s+(?:option\s+)?\W?(?-i:[A-J]\b))"
    r"|(?:^\W*|(?<=[.!?]\s))(?:do\s+not|don['\u2019]t|never)\s+(?:choose|pick|select)\b"
    r"|\bif\s+instead\b.{1,200}\bwould\b|\banswer\s+key\b|\b(?:expected|given|stated)\s+answer\b.{1,80}\b(?:but|however)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""A common wrong answer is 12. Many students choose C. If instead the base were 10, the answer would be 14."""
_CHECKS = re.compile(
    r"\W*(?:(?:let(?:['\u2019]s|\s+us|\s+me)|we(?:\s+can)?|you\s+can|i|to|now|as\s+a|quick)\s+){0,3}"
    r"(?:double[\s-]?)?(?:check|verify|verification|confirm)\b(?=\W*(?:\Z|[:,.!\d(]|(?:that|this|it|the|our|by|if|whether|with|each|all)\b))",
    re.IGNORECASE,
)
"""Check: 8 + 6 = 14. We can verify this: .."""
_CONCLUDES = re.compile(
    r"\W*(?:(?:so|thus|hence|therefore|then|finally|final|answer|conclusion|result|it\s+follows|this\s+means)\b|#)",
    re.IGNORECASE,
)
_GIVEN = re.compile(
    r"\W*(?:(?:given|known|problem|question)(?:\s+\w+)?\W*(?::|\Z)"
    r"|(?:let|suppose|assume)\s+(?:that\s+)?\W{0,3}\w+(?:\W{0,3}=|\W{0,3}\s(?:be|is)\b))",
    re.IGNORECASE,
)
"""Given: 20 apples. Let x = 20."""
_REFUSES = re.compile(
    r"\b(?:cannot|can(?:\s?no|['\u2019])t|unable\s+to|impossible\s+to)\s+(?:be\s+)?(?:determined?|conclude|answer|solve|say|know)\b"
    r"|\b(?:insufficient|not\s+enough|lacks?)\s+information\b|\bunclear\b",
    re.IGNORECASE,
)
"""I cannot determine the answer."""
_NUMBERED = re.compile(
    r"\b(?:steps?|parts?|cases?|equations?|eqs?\.?|sections?|theorem|lemma|method)\s*\(?\d+(?:\.\d+)*\)?"
    r"|\A(?:#{1,6}\s*|\*\*)\d{1,2}[.)]\s+(?=[^\W\d_]{2})",
    re.IGNORECASE,
)
"""A number that only counts: Step 5, ## 5. Conclusion."""
_ITEM = re.compile(r"(?:[-*+\u2022]|\d{1,2}[.)])\s")
_OPEN = re.compile(r"(?:[,:;=(\u00d7]|\s(?:and|or|but|the|of|to|by|with|needs?|is|are|then|we|so))[\s*_]*\Z")
_LETTER_END = re.compile(r"[^\W\d_][\s*_]*\Z")


def without_withdrawn(text: str) -> str:
    """What stands behind the last place at which a text takes back what it said before."""
    ends = [match.end() for match in _WITHDRAWN.finditer(text)]
    return text[ends[-1] :].lstrip(" ,.!:-\u2013\u2014") if ends else text


def is_of_others(text: str) -> bool:
    """Whether a sentence, or one of a text, is on an answer of others, a wrong one or that of another question."""
    return _OF_OTHERS.search(text) is not None


def without_sections(lines: list[str]) -> list[str]:
    """Lines without those that check an answer (to one that concludes) or list what is given."""
    kept, section = [], ""
    for line in lines:
        if _CONCLUDES.match(line) or (section == "given" and not _ITEM.match(line)):
            section = ""
        if _CHECKS.match(line):
            section = "check"
        elif _GIVEN.match(line) and line.rstrip("* ").endswith(":") and not section:
            section = "given"
        if not section:
            kept.append(line)
    return kept


def says_nothing_new(sentence: str) -> bool:
    """Whether a sentence checks an answer or says what is given."""
    return _CHECKS.match(sentence) is not None or _GIVEN.match(sentence) is not None


def refuses(text: str) -> bool:
    """Whether a text says that it has no answer."""
    return _REFUSES.search(text) is not None


def without_numbering(sentence: str) -> str:
    """A sentence without numbers that only count its steps, parts or headings."""
    return _NUMBERED.sub(" ", sentence)


def breaks_off(end: str, answer: str) -> bool:
    """Whether a last sentence `end` stops before its end; `answer` is the sentence that was taken for the answer."""
    return _OPEN.search(end) is not None or (answer != end and _LETTER_END.search(end) is not None)
