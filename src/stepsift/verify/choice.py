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
            r"([A-J])\s*(?:\u9009\u9879|\u9879)?\s*\u662f?\s*(?:\u6b63\u786e|\u5bf9)\u7684?\s*(?:[\u3002.]|\Z|\n)",
            "(?:\u7b54\u6848|\u6b63\u786e\u9009\u9879|\u6545\u9009|\u9009\u62e9|\u5e94\u9009|\u9009(?!\u9879))"
            r"\s*(?:\u5e94\u8be5|\u5e94)?(?:\u4e3a|\u662f)?\s*[::]?\s*[(\[]?\s*([A-J])(?![A-Za-z'\u2019]|-\w)",
        ]
    ),
    re.MULTILINE,
)
_JOINT = r"\s*(?:,|/|&|,?\s*\b(?:and|or)\b|\u548c|\u6216|\u3001)\s*"
_JOINED = re.compile(_JOINT)
_ONE = r"(?:\([A-J]\)|\[[A-J]\]|[A-J])"
_LETTERS = re.compile(rf"{_ONE}(?:(?:{_JOINT}|\s)?{_ONE})+")
_AND_ANOTHER = re.compile(
    rf"\s*[)\]]?(?:(?>{_JOINT}[(\[]?\s*[A-J]\s*[)\]]?)++\s*(?:[.;\n\u3002}}]|\Z)"
    r"|\s*[)\]]?\s*\b(?:and|or)\s+[(\[]?[A-J](?![\w'\u2019])(?!\s*[)\]]?\s*(?:is|are|was|were)\b))"
)
"""B is no answer where B and D are said."""
_MENTIONED = re.compile(rf"(?:\b{_OPTION}|\u9009\u9879)\s*{_LETTER}")
_DENIED = re.compile(
    r"\b(?:not|never|cannot|neither|nor|incorrect|wrong|false|except|eliminate|rule|unlike|than)\b|n['\u2019]t\b"
)
_MARKED = re.compile(r"(?<!\w)[(\[]([A-J])[)\]]")
_LONE = re.compile(r"[(\[]?([A-J])[)\]]?\.?")
_LEADING = re.compile(rf"(?:[(\[]([A-J])[)\]]|([A-J])[).:])(?!{_JOINT}[(\[]?[A-J](?!\w))\s+\S.*")
_KEYWORDS = ("answer", "ans", "option", "choice", "letter", "alternative", "correct", "right", "best", "final", "choos")
_KEYWORDS_TOO = ("pick", "select", "mark", "go with", "\u7b54", "\u9009", "\u6b63\u786e", "\u5bf9")
_TAIL_CHARS = extract.TAIL_CHARS


def letter(text: str) -> str | None:
    """The letter of a boxed answer: `D`, `(D)`, `d`, `D. its text`, `\\text{(D)}`, `Option D`; None if none."""
    plain = _plain(text)
    match = _STARTS.match(plain)
    return match[1].upper() if match and not _AND_ANOTHER.match(plain, match.end(1)) else None


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


def letters(text: str) -> str | None:
    """The letters of an answer that is several choices, sorted: AC of `A, C`, `(C) and (A)`, `AC`; None if it is none.

    Letters without anything between them are choices only in the order of the alphabet: CAB is a word.
    """
    plain = peel(_plain(text))
    if len(plain) > 60 or _LETTERS.fullmatch(plain) is None:
        return None
    named = "".join(re.findall("[A-J]", plain))
    ordered = "".join(sorted(set(named)))
    return ordered if len(ordered) == len(named) and (plain != named or named == ordered) else None


def final_letter(conclusion: str) -> str | None:
    """The letter on which a conclusion ends; None where it names none.

    A boxed letter or one in <answer>, else the last "answer is (D)", "Answer: D", "Option D is correct" or 答案：D,
    else a last line that is only a letter, a single line that begins with one, else the last letter in parentheses or
    the only option that the last line mentions. Where two are said, as in "B or C", it names none.
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
        group = next(i for i, named in enumerate(phrase.groups(), start=1) if named)
        return None if _AND_ANOTHER.match(text, phrase.end(group)) else phrase[group]
    last = peel(text.rpartition("\n")[2])
    lone = _LONE.fullmatch(last)
    if lone:
        return lone[1]
    leading = _LEADING.fullmatch(last)
    # Where more lines stand before it, it may be the last of the options.
    if leading and last == peel(text):
        return leading[1] or leading[2]
    return _mentioned(last)


def _mentioned(line: str) -> str | None:
    """The last letter in parentheses, else the only option that a line mentions and does not deny."""
    marked = list(_MARKED.finditer(line))
    if marked:
        several = len(marked) > 1 and _JOINED.fullmatch(line, marked[-2].end(), marked[-1].start())
        return None if several else marked[-1][1]
    options = set(_MENTIONED.findall(line))
    return options.pop() if len(options) == 1 and not _DENIED.search(line) else None


def _plain(text: str) -> str:
    """`text` without emphasis, dollar signs and font commands."""
    return _TAG.sub("", _COMMAND.sub(r"\1", text)).replace("\\ ", " ").translate(_MARKUP).strip()
