"""Multiple choice: the letter, A to J, that a response ends on."""

import re
from functools import lru_cache

from stepsift.verify import extract
from stepsift.verify.spelling import peel

_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathbf|mathrm|boldsymbol|bf|rm)\s*\{([^{}]*)\}")
_TAG = re.compile(r"</?(?:b|i|strong|em|u)>", re.IGNORECASE)
_MARKUP = str.maketrans("\uff08\uff09\uff1a\uff0e", "():.", '*_`$"\u201c\u201d')
_STARTS = re.compile(r"(?:option|choice|answer)?\s*:?\s*[(\[]?\s*([A-Ja-j])\s*(?:[)\].:,;]|\Z)", re.IGNORECASE)
_GOLD = re.compile(
    r"(?:(?:option|choice|answer)\s*:?\s*)?(?:\(\s*([A-Ja-j])\s*\)|\[\s*([A-J])\s*\]|([A-J])\s*\)|([A-J])\s*[.:](?=\s|\Z)|([A-J])\Z)"
    r"\s*:?\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_LETTER = r"[(\[]?\s*([A-J])(?![\w'\u2019]|-\w)"
_OPTION = r"(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter|[Aa]lternative)"
_AT = rf"\s*:?\s*(?:\\[\[(]\s*)?(?:(?:therefore|thus|clearly|indeed|the)\s+)?(?:{_OPTION}\s+)?{_LETTER}"
_IS = r"(?:is|are|would be|must be|should be|comes out to be|will be)\b"
_RIGHT = r"(?:correct|right|best|(?:final\s+|correct\s+)?answer)\b(?!\s+(?:if|when|for|that)\b)"
_SAID = re.compile(
    # Most places of a text are no beginning of a word of these: they are passed over first.
    r"\b(?=[A-HL-PRSTa-chfglmoprst])(?:"
    + "|".join(
        [
            # The answer is (D). Answer: D
            rf"[Aa]nswer(?:\s*[:=]|s?\s+{_IS}){_AT}",
            # The correct choice is D
            rf"(?:[Cc]orrect|[Rr]ight|[Bb]est|[Ff]inal|[Mm]y)\s+(?:final\s+)?(?:{_OPTION}|[Ss]election|[Oo]ne)"
            rf"(?:\s*[:=]|\s+{_IS}){_AT}",
            # I choose D.
            rf"(?:[Cc]hoose|[Pp]ick|[Ss]elect|[Mm]ark|[Gg]o with|[Cc]hoosing)\s+(?:{_OPTION}\s+)?{_LETTER}"
            r"(?=\s*(?:[).,;:\]]|\Z|\n))",
            # Option D is correct
            rf"{_OPTION}\s+[(\[]?\s*([A-J])[)\]]?\s+(?:is|must be|seems)\s+(?:therefore\s+|thus\s+|clearly\s+)?"
            rf"(?:the\s+)?{_RIGHT}",
            # So (D) is the answer
            rf"(?:[Ss]o\s|[Tt]hus,?\s|[Hh]ence,?\s|[Tt]herefore,?\s)[(\[]?([A-J])[)\]]?\s+is\s+(?:the\s+)?{_RIGHT}",
        ]
    )
    + ")|"
    + "|".join(
        [
            # (D) is the answer
            rf"(?:^|(?<=[.:]\s))[(\[]?([A-J])[)\]]?\s+is\s+(?:the\s+)?{_RIGHT}",
            rf"^\W*(?:Ans|ANS|Final|ANSWER|FINAL ANSWER)\s*[:=.]\s*{_LETTER}",
            "(?:\u7b54\u6848|\u6545\u9009|\u9009\u62e9|\u5e94\u9009|\u9009(?!\u9879))"
            r"\s*(?:\u5e94\u8be5|\u5e94)?(?:\u4e3a|\u662f)?\s*[::]?\s*[(\[]?\s*([A-J])(?![A-Za-z'\u2019]|-\w)",
        ]
    ),
    re.MULTILINE,
)
_MARKED = re.compile(r"(?<!\w)[(\[]([A-J])[)\]]")
_LONE = re.compile(r"[(\[]?([A-J])[)\]]?\.?")
_LEADING = re.compile(r"(?:[(\[]([A-J])[)\]]|([A-J])[).:])\s+\S.*")
_KEYWORDS = ("answer", "ans", "option", "choice", "letter", "alternative", "correct", "right", "best", "final", "choos")
_KEYWORDS_TOO = ("pick", "select", "mark", "go with", "\u7b54", "\u9009")
_TAIL_CHARS = extract.TAIL_CHARS


def letter(text: str) -> str | None:
    """The letter of a boxed answer: `D`, `(D)`, `d`, `D. its text`, `\\text{(D)}`, `Option D`; None if none."""
    match = _STARTS.match(_plain(text))
    return match[1].upper() if match else None


@lru_cache(maxsize=4_096)
def letter_of_gold(text: str) -> str | None:
    """The letter of a gold answer: `D`, `(D)`, `(D) its text`, `D. its text`, `\\text{D}`; None if it is none."""
    match = _GOLD.fullmatch(_plain(text))
    if match is None or (match[5] and _plain(text)[-1].islower()):
        return None
    return next(group for group in match.groups()[:5] if group).upper()


@lru_cache(maxsize=4_096)
def text_of_gold(text: str) -> str | None:
    """The text of a gold answer that stands after its letter; None where there is none."""
    match = _GOLD.fullmatch(_plain(text))
    return peel(match[6]) or None if match else None


def final_letter(conclusion: str) -> str | None:
    """The letter on which a conclusion ends; None where it names none.

    A boxed letter or one in <answer>, else the last "answer is (D)", "Answer: D", "Option D is correct" or 答案：D,
    else a last line that is only a letter, a single line that begins with one, else the last letter in parentheses.
    """
    box = extract.boxed(conclusion)
    if box is not None and (named := letter(box)):
        return named
    tagged = extract.tagged(conclusion)
    if tagged is not None and (named := letter(tagged) or final_letter(tagged)):
        return named
    text = _plain(conclusion[-_TAIL_CHARS:])
    phrase = extract.last_match(_SAID, text, _KEYWORDS + _KEYWORDS_TOO)
    if phrase:
        return next(named for named in phrase.groups() if named)
    last = peel(text.rpartition("\n")[2])
    lone = _LONE.fullmatch(last)
    if lone:
        return lone[1]
    leading = _LEADING.fullmatch(last)
    # Where more lines stand before it, it may be the last of the options.
    if leading and last == peel(text):
        return leading[1] or leading[2]
    marked = _MARKED.findall(last)
    return marked[-1] if marked else None


def _plain(text: str) -> str:
    """`text` without emphasis, dollar signs and font commands."""
    return _TAG.sub("", _COMMAND.sub(r"\1", text)).replace("\\ ", " ").translate(_MARKUP).strip()
