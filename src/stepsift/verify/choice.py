"""Multiple choice: the letter, A to J, that a response ends on."""

import re
from functools import lru_cache

from stepsift.verify import extract
from stepsift.verify.asides import without_withdrawn
from stepsift.verify.spelling import peel

_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathbf|mathrm|mathsf|mathtt|mathcal|boldsymbol|bf|rm)\s*\{([^{}]*)\}"
)
_LAYOUT = re.compile(r"\\(?:bf|rm|it|large|Large|LARGE|huge|Huge|q?quad)(?![A-Za-z])|\\[,;! ]")
_TAG = re.compile(r"</?(?:b|i|strong|em|u)>", re.IGNORECASE)
_MARKUP = str.maketrans("\uff08\uff09\uff1a\uff0e", "():.", '*_`$"\u201c\u201d')
_STARTS = re.compile(
    r"(?:option|choice|answer)?\s*:?\s*[(\[]?\s*([A-Ja-j])\s*(?:[)\].:,;]|(?<=\s)\(|\Z)", re.IGNORECASE
)
_QUOTED = re.compile(r"'([A-J])'")
_GOLD = re.compile(
    r"(?:(?:option|choice|answer)\s*:?\s*)?(?:\(\s*([A-Ja-j])\s*\)|\[\s*([A-J])\s*\]|([A-J])\s*\)|([A-J])\s*[.:](?=\s|\Z)|([A-J])\Z)"
    r"\s*:?\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_LETTER = r"[(\[]?\s*([A-J])(?![\w'\u2019]|-\w)"
_OPTION = r"(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter|[Aa]lternative)"
_ADVERB = r"(?:therefore|thus|clearly|indeed|definitely|certainly|probably|(?:most\s+)?likely|actually|simply|the)"
_AT = rf"\s*:?\s*(?:\\[\[(]\s*)?(?:{_ADVERB}\s+)?(?:{_OPTION}\s+)?{_LETTER}"
_IS = r"(?:is|are|would be|must be|should be|comes out to be|will be|(?:appears|seems|has) to be|can only be)\b"
_NOT_IF = r"\b(?!\s+(?:if|when|for|that)\b)"
_ANSWER = rf"(?:(?:final\s+|correct\s+)?answer|(?:correct|right|best)\s+(?:{_OPTION}|one)){_NOT_IF}"
_RIGHT = rf"(?:correct|right|best|(?:final\s+|correct\s+)?answer){_NOT_IF}"
_END = r"(?=[)\]]?[\s.,;:!]*(?:$|\n))"
_ANSWER_ABROAD = (
    "(?:[\u041e\u043e]\u0442\u0432\u0435\u0442|[Rr]espuesta|[Rr]\u00e9ponse|[Aa]ntwort|[Rr]esposta|[Rr]isposta"
    "|\uc815\ub2f5|\ub2f5|\u7b54\u3048|\u6b63\u89e3)"
)
_THE_OPTION_ABROAD = (
    r"(?:(?:la|el|die|a|il)\s+)?"
    "(?:(?:[Oo]pci\u00f3n|[Oo]ption|[Oo]p\u00e7\u00e3o|[Oo]pzione|[Ll]etra|[Ll]ettre|[Ll]ettera)\\s+)?"
)
_SAID = re.compile(
    # Most places of a text are no beginning of a word of these: they are passed over first.
    r"\b(?=[A-HL-PRSTa-chfglmoprst])(?:"
    + "|".join(
        [
            # The answer is (D). Answer: D
            rf"[Aa]nswer(?:\s*[:=]|\s+[-\u2013\u2014](?=\s)|s?(?:\s+(?:to|for)\s[^.:\n]{{1,60}}?)?\s+{_IS}){_AT}",
            # The correct choice is D
            rf"(?:[Cc]orrect|[Rr]ight|[Bb]est|[Ff]inal|[Mm]y|[Ss]elected|[Mm]ost\s+\w+)\s+(?:final\s+)?"
            rf"(?:{_OPTION}|[Ss]election|[Oo]ne|[Ss]tatement|[Rr]esponse)(?:\s*[:=]|\s+{_IS}){_AT}",
            # I choose D.
            rf"(?:[Cc]hoose|[Pp]ick|[Ss]elect|[Mm]ark|[Gg]o with|[Cc]hoosing)\s+(?:{_OPTION}\s+)?{_LETTER}"
            r"(?=\s*(?:[).,;:\]]|\Z|\n))",
            # Option D is the answer
            rf"{_OPTION}\s+[(\[]?\s*([A-J])[)\]]?\s+(?:is|must be|seems)\s+(?:therefore\s+|thus\s+|clearly\s+)?"
            rf"(?:the\s+)?{_ANSWER}",
            # So (D) is correct
            rf"(?:[Ss]o|[Tt]hus|[Hh]ence|[Tt]herefore)\b,?\s+(?:the\s+)?(?:{_OPTION}\s+)?[(\[]?([A-J])[)\]]?\s+"
            rf"(?:is|must be)\s+(?:the\s+)?{_RIGHT}",
        ]
    )
    + ")|"
    + "|".join(
        [
            # (D) is the answer
            rf"(?:^|(?<=[.:]\s))[(\[]?([A-J])[)\]]?\s+is\s+(?:the\s+)?{_ANSWER}",
            rf"^\W*(?:Ans|ANS|Final|ANSWER|FINAL ANSWER)\s*(?:[:=.]|\s[-\u2013\u2014]\s)\s*{_LETTER}",
            rf"^\W*(?:[Oo]ption|[Cc]hoice)\s*:\s*{_LETTER}{_END}",
            # A heading, and D) below
            r"^\W*(?i:(?:final\s+|correct\s+)?answer)\W*\n\W*([A-J])(?=[).:\]]|\s*$)",
            rf"{_ANSWER_ABROAD}(?:\s+(?:correcta?|corretta|correcte))?\s*(?:[:\uff1a\u2013\u2014]|(?:es|est|ist|\u00e9|\u00e8)\b|\uc740|\ub294|\u306f)"
            rf"\s*{_THE_OPTION_ABROAD}[(\[]?\s*([A-J])(?![A-Za-z'\u2019]|-\w)",
            "(?<![\u4e0d\u522b])(?:\u7b54\u6848\u3011?|\u7b54(?=[:\uff1a])|\u6b63\u786e\u7684?\u9009\u9879|\u6545\u9009|\u9009\u62e9|\u5e94\u9009|\u9009(?!\u9879))"
            r"\s*(?:\u5e94\u8be5|\u5e94)?(?:\u4e3a|\u662f)?\s*[::]?\s*[(\[]?\s*([A-J])(?![A-Za-z'\u2019]|-\w)",
        ]
    ),
    re.MULTILINE,
)
_CALLED_RIGHT = re.compile(
    "|".join(
        [
            rf"\b{_OPTION}\s+[(\[]?\s*([A-J])[)\]]?\s+(?:is|must be|seems)\s+(?:therefore\s+|thus\s+|clearly\s+)?"
            rf"(?:the\s+)?{_RIGHT}",
            rf"(?:^|(?<=[.:]\s))[(\[]?([A-J])[)\]]?\s+is\s+(?:the\s+)?{_RIGHT}",
            rf"(?:{_ANSWER_ABROAD}|[Oo]pci\u00f3n)\s+([A-J])\s+(?:ist|es|est|\u00e9|\u00e8)\s+(?:die\s+|la\s+|a\s+)?(?:richtig|korrekt|corr[e\u00e9]t)",
            r"([A-J])\s*(?:\u9009\u9879|\u9879)?\s*\u662f?\s*(?:\u6b63\u786e|\u5bf9)\u7684?\s*(?:[\u3002.]|\Z|\n)",
        ]
    ),
    re.MULTILINE,
)
"""Option D is correct, which counts only where no answer was named: of several statements more than one may be."""
_CONCLUDED = re.compile(
    r"(?:(?:so|thus|hence|therefore|definitely|it\s+is|it['\u2019]s|i\s+think\s+it['\u2019]s|i['\u2019]d\s+say|that\s+leaves)[,:]?\s+)+"
    r"(?:the\s+)?(?:option\s+)?[(\[]?(?-i:([A-J]))[)\]]?"
    r"|.{0,200}\bthe\s+(?:most\s+likely|incorrect|false|wrong|odd)\s+(?:\w+\s+){0,2}?is\s+[(\[]?(?-i:([A-J]))(?:[)\].:].{0,80})?"
    r"|.{0,200}\banswer\s+is\s+[(\[]?([a-j])[)\]]?",
    re.IGNORECASE,
)
"""A last line that names one letter: So C. It's C. The false statement is C."""
_SMALL = re.compile(
    r"(?i:(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|option|choice)\s*[:=]\s*)"
    r"(?:[(\[]([a-j])[)\]](?:\s.*)?|([a-j])(?:[).:]\s.*|[.)]?))"
)
"""A last line that announces a small letter: Answer: (b) Paris."""
_SMALL_ALONE = re.compile(r"(?:[(\[]([a-j])[)\]]|([a-j])[.)]?)\.?|[(\[]?([a-j])[)\]]\s.{1,60}")
"""All of a response: b, (b), b) Paris."""
_SMALL_TOO = re.compile(
    r"[(\[][a-j][)\]]|\b[b-hj][).]|\b(?:and|or|&)\s+[(\[]?[a-j]\b(?!\s+[a-z])"
    r"|\b(?:not|never|wrong|incorrect|false|true|tempting|but|so)\b",
    re.IGNORECASE,
)
"""What stands behind a letter that is not the one answer: another one, or a doubt."""
_LABEL = re.compile(
    r"\A\s*(?:\\text(?:bf|rm)?\s*\{\s*(?:\([A-J]\)|[A-J][).])\s*\}(?:\\[ ,;]|~|\s)*"
    r"|(?:\([A-J]\)|[A-J][).])(?:\\[ ,;]|~|\s)+)(?=\S)"
)
_OPENING = re.compile(
    r"[(\[]?([A-J])(?:[)\].:]?\s*\Z|[)\].:]{1,2}\s+\S|,?\s+(?:because|since|as)\b|\s+[-\u2013\u2014]\s+[A-Z\d$(])"
)
"""A first line that names the answer: C) Paris."""
_JOINT = r"\s*(?:,|/|&|,?\s*\b(?:and|or)\b|\u548c|\u6216|\u3001)\s*"
_JOINED = re.compile(_JOINT)
_ONE = r"(?:\([A-J]\)|\[[A-J]\]|[A-J])"
_LETTERS = re.compile(rf"{_ONE}(?:(?:{_JOINT}|\s)?{_ONE})+")
_RUN = re.compile(rf"(?<![\w(\[]){_ONE}(?:(?>{_JOINT})++{_ONE})+(?![\w'\u2019])|(?<!\w)[A-J]{{2,}}(?!\w)")
"""Letters that a sentence names one after the other: options (A), (C), and (D)."""
_AND_ANOTHER = re.compile(
    rf"\s*[)\]]?(?:(?>{_JOINT}[(\[]?\s*[A-J]\s*[)\]]?)++\s*(?:[.;\n\u3002}}]|\Z)"
    r"|\s*[)\]]?\s*\b(?:and|or)\s+[(\[]?[A-J](?![\w'\u2019])(?!\s*[)\]]?\s*(?:is|are|was|were)\b))"
)
"""B is no answer where B and D are said."""
_MENTIONED = re.compile(rf"(?:\b{_OPTION}|\u9009\u9879)\s*{_LETTER}")
_DENIED = re.compile(
    r"\b(?:not|never|cannot|neither|nor|incorrect|wrong|false|except|eliminated?|excluded?|rejected?|ruled?|fails?|impossible|unlike|than)\b"
    r"|n['\u2019]t\b|[\u274c\u2717\u2718]",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\s*[)\]]?\s*(?:(?:is|was|(?:can|must|should)\s+be)\s+(?:not|incorrect|wrong|false|ruled|eliminated|excluded|rejected)\b|,?\s*(?:if|unless|only\s+if)\b)",
    re.IGNORECASE,
)
"""Behind a letter that is no answer, or only under a condition: Answer: C is incorrect. The answer is C if .."""
_UNDER_WAY = re.compile(
    r":[\s*_]*\Z|\b(?:let['\u2019]s|let\s+(?:us|me)|we|now|next)\b.{0,40}"
    r"\b(?:consider|evaluate|examine|analy[sz]e|look\s+at|check|compare|turn\s+to|move\s+on)\b[^.]{0,60}\.?\s*\Z",
    re.IGNORECASE,
)
"""A last line that only comes to an option."""
_CLAUSES = re.compile(r"[,;.:](?=\s)|\b(?:but|so|thus|hence|therefore|because|since|as|while)\b", re.IGNORECASE)
_IS_TOO = re.compile(r"\b(?:is|are)\b", re.IGNORECASE)
"""What does not fit is (C): denied is what stands before the verb."""
_CROSS = re.compile(r"[\u274c\u2717\u2718]")
_MARK = re.compile(r"\W*([B-J])[)\].:]\W*")
_BOLD_OPTION = re.compile(r"\*\*[(\[]?([A-J])[)\].:]\s+[^*\n]+\*\*")
"""The next step is **C. Its text**."""
_OTHER_LABEL = re.compile(r"[,;\s][(\[]?[A-J][)\]]?\s*[:=]\s*\S")
_MARKED = re.compile(r"(?<!\w)[(\[]([A-J])[)\]]")
_LONE = re.compile(r"[(\[]?([A-J])[)\]]?\.?")
_LEADING = re.compile(rf"(?:[(\[]([A-J])[)\]]|([A-J])[).:])(?!{_JOINT}[(\[]?[A-J](?!\w))\s+\S.*")
_PART = re.compile(r"(?<![\w\\])\((\w{1,3})\)(?=\s)|(?<![\w\\(])(?<!\w[ ])([a-hA-H]|i{1,3}|iv|v)[):](?=\s)")
_ROMAN = ["i", "ii", "iii", "iv", "v"]
_PARTS_CHARS = 400
_NAME = re.compile(r"(?:[A-Z]\.\s?){2,}[A-Z][a-z]+")
"""J. K. Rowling, and no option J."""
_SPECIES = re.compile(r"[A-J]\.\s[a-z]+")
_KEYWORDS = ("answer", "ans", "option", "choice", "letter", "alternative", "correct", "right", "best", "final", "choos")
_KEYWORDS_TOO = (
    *extract.KEYWORDS_ABROAD,
    "most",
    "pick",
    "select",
    "mark",
    "go with",
    "\u7b54",
    "\u9009",
    "\u6b63\u786e",
    "\u5bf9",
)
_TAIL_CHARS = extract.TAIL_CHARS


def letter(text: str) -> str | None:
    """The letter of a boxed answer: `D`, `(D)`, `d`, `D. its text`, `\\text{(D)}`, `Option D`; None if none."""
    plain = _plain(text)
    match = _STARTS.match(plain)
    if match is None or _AND_ANOTHER.match(plain, match.end(1)) or _OTHER_LABEL.search(plain, match.end(1)):
        return None
    return match[1].upper()


@lru_cache(maxsize=4_096)
def letter_of_gold(text: str) -> str | None:
    """The letter of a gold answer: `D`, `(D)`, `(D) its text`, `D. its text`, `\\text{D}`; None if it is none."""
    match = _GOLD.fullmatch(_plain(text))
    if match is None or (match[5] and _plain(text)[-1].islower()) or parts(text) or _NAME.fullmatch(_plain(text)):
        return None
    return next(group for group in match.groups()[:5] if group).upper()


@lru_cache(maxsize=4_096)
def parts(text: str) -> dict[str, str] | None:
    """The parts of an answer that gives each its letter: 5 and 7 of `(a) 5 (b) 7`; None where it is no such answer."""
    plain = _plain(text[:_PARTS_CHARS])
    labels = list(_PART.finditer(plain))
    names = [(label[1] or label[2]).lower() for label in labels]
    if len(labels) < 2 or labels[0].start() or names not in (list("abcdefgh")[: len(names)], _ROMAN[: len(names)]):
        return None
    ends = [label.start() for label in labels[1:]] + [len(plain)]
    told = [peel(plain[label.end() : end]) for label, end in zip(labels, ends, strict=True)]
    # Both (a) and (b) names parts and gives none.
    return dict(zip(names, told, strict=True)) if all(re.search(r"\d", one) for one in told) else None


@lru_cache(maxsize=4_096)
def text_of_gold(text: str) -> str | None:
    """The text of a gold answer that stands after its letter; None where there is none."""
    match = _GOLD.fullmatch(_plain(text))
    return peel(match[6]) or None if match else None


def differ_as_species(gold: str, answer: str) -> bool:
    """Whether both may be short names of species that differ, E. coli and E. faecalis, and so no letters at all."""
    one, other = peel(_plain(gold)), peel(_plain(answer))
    return bool(_SPECIES.fullmatch(one) and _SPECIES.fullmatch(other)) and one != other


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


def are_letters(gold: str, text: str) -> bool:
    """Whether a gold answer is several letters (`A, C, D`) and a text's answer or last line names just them."""
    several = letters(gold)
    if several is None or not _JOINED.search(_plain(gold)):
        return False
    own = extract.without_others(without_withdrawn(text[-_TAIL_CHARS:]))
    said = extract.boxed(own) or extract.announced(own) or own.rstrip().rpartition("\n")[2]
    runs = _RUN.findall(_plain(said))
    return len(runs) == 1 and not _DENIED.search(said) and letters(runs[0]) == several


def without_label(answer: str) -> str:
    r"""A value without the letter of the option that it is: 17 of `\textbf{(C)}\ 17` and of `C) 17`."""
    return _LABEL.sub("", answer, count=1)


def final_letter(conclusion: str) -> str | None:
    """The letter on which a conclusion ends; None where it names none.

    A boxed letter or one in <answer>, else the last "answer is (D)", "Answer: D" or 答案：D, else the last "Option D is
    correct", else a last line that is only a letter or "So D", a single line that begins with one, else the last letter
    in parentheses, the only option that the last line mentions or has in bold, else a first paragraph "D) its text".
    Where two are said, as in "B or C", or the letter is denied, it names none.
    """
    conclusion = without_withdrawn(conclusion)
    box = extract.boxed(conclusion)
    if box is not None and (named := letter(box)):
        return named
    tagged = extract.tagged(conclusion)
    if tagged is not None and (named := letter(tagged) or final_letter(tagged)):
        return named
    own = extract.without_others(conclusion[-_TAIL_CHARS:])
    text = _plain(own)
    phrase = extract.last_match(_SAID, text, _KEYWORDS + _KEYWORDS_TOO) or extract.last_match(
        _CALLED_RIGHT, text, _KEYWORDS + _KEYWORDS_TOO
    )
    if phrase:
        group = next(i for i, named in enumerate(phrase.groups(), start=1) if named)
        another = any(behind.match(text, phrase.end(group)) for behind in (_AND_ANOTHER, _TAKEN_BACK))
        return None if another else phrase[group]
    return _of_last_line(text) or _in_bold(own) or _opening(text)


def _of_last_line(text: str) -> str | None:
    """The letter that a text's last line names; None where it only comes to an option, or is the last of a list."""
    before, _, line = text.rpartition("\n")
    last = peel(line)
    if _UNDER_WAY.search(line) or _is_listed(before.rstrip().rpartition("\n")[2], line):
        return None
    # Where more lines stand before it, a line that begins with a letter may be the last of the options.
    leading = _LEADING.fullmatch(last) if last == peel(text) else None
    whole = _LONE.fullmatch(last) or leading or _CONCLUDED.fullmatch(last) or _small(last, last == peel(text))
    group = next((i for i, named in enumerate(whole.groups(), start=1) if named), 0) if whole else 0
    if whole is None or _CROSS.search(line) or _TAKEN_BACK.match(last, whole.end(group)):
        return _mentioned(line)
    return whole[group].upper()


def _is_listed(before: str, line: str) -> bool:
    """Whether a line is only the mark of the option that follows the one on the line before it."""
    mark = _MARK.fullmatch(line)
    return mark is not None and re.match(rf"\W*{chr(ord(mark[1]) - 1)}[)\].:]", before) is not None


def _in_bold(text: str) -> str | None:
    """The letter of the only option that is in bold on a text's last line."""
    line = text.rstrip().rpartition("\n")[2]
    bold = _BOLD_OPTION.findall(line)
    return bold[0] if len(bold) == 1 and not _UNDER_WAY.search(line) and not _DENIED.search(line) else None


def _small(line: str, is_all: bool) -> re.Match[str] | None:
    """The small letter of a last line; what stands alone on it may end a formula where more lines stand before it."""
    match = _SMALL.fullmatch(line) or (_SMALL_ALONE.fullmatch(line) if is_all else None)
    if match is None:
        return None
    end = next(match.end(i) for i, named in enumerate(match.groups(), start=1) if named)
    return None if _SMALL_TOO.search(line, end) else match


def _opening(text: str) -> str | None:
    """The letter with which a text opens on a paragraph of its own; None where the next option follows."""
    first, _, rest = text.partition("\n")
    opening = _OPENING.match(peel(first))
    if opening is None or (rest and not rest.startswith("\n")):
        return None
    following = chr(ord(opening[1]) + 1)
    listed = re.search(rf"^\W*{following}[).:\]]", rest, re.MULTILINE)
    end = first.find(opening[1]) + 1
    return None if listed or _AND_ANOTHER.match(first, end) or _TAKEN_BACK.match(first, end) else opening[1]


def _mentioned(line: str) -> str | None:
    """The last letter in parentheses, else the only option that a line mentions; neither where it is denied."""
    marked = list(_MARKED.finditer(line))
    if marked:
        start, end = marked[-1].span()
        several = len(marked) > 1 and _JOINED.fullmatch(line, marked[-2].end(), start)
        clause = _IS_TOO.split(_CLAUSES.split(line[:start])[-1])[-1] + _CLAUSES.split(line[end:])[0]
        return None if several or _DENIED.search(clause) else marked[-1][1]
    options = set(_MENTIONED.findall(line))
    return options.pop() if len(options) == 1 and not _DENIED.search(line) else None


def _plain(text: str) -> str:
    """`text` without emphasis, dollar signs and font commands."""
    plain = _LAYOUT.sub(" ", _COMMAND.sub(r"\1", _TAG.sub("", text)))
    return _QUOTED.sub(r"\1", plain.translate(_MARKUP)).strip()
