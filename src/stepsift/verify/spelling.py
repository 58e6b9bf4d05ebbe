r"""One spelling for formulas: layout commands, fonts, Unicode signs and what stands around an answer are taken away.

Nothing here changes what a formula means; `peel` takes off what only surrounds an answer (Markdown, quotes, a full
stop, maths delimiters), `formula` writes the rest as plain LaTeX. Every pattern is linear in the length of its text.
"""

import re
import unicodedata
from functools import lru_cache

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_SIGNS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{HYPHEN}": "-",
        "\N{NON-BREAKING HYPHEN}": "-",
        "\N{MULTIPLICATION SIGN}": "\\times ",
        "\N{MIDDLE DOT}": "\\cdot ",
        "\N{DOT OPERATOR}": "\\cdot ",
        "\N{DIVISION SIGN}": "/",
        "\N{FRACTION SLASH}": "/",
        "\N{GREEK SMALL LETTER PI}": "\\pi ",
        "\N{GREEK SMALL LETTER THETA}": "\\theta ",
        "\N{GREEK SMALL LETTER ALPHA}": "\\alpha ",
        "\N{GREEK SMALL LETTER BETA}": "\\beta ",
        "\N{GREEK SMALL LETTER GAMMA}": "\\gamma ",
        "\N{GREEK SMALL LETTER DELTA}": "\\delta ",
        "\N{GREEK SMALL LETTER EPSILON}": "\\epsilon ",
        "\N{GREEK SMALL LETTER TAU}": "\\tau ",
        "\N{INFINITY}": "\\infty ",
        "\N{LESS-THAN OR EQUAL TO}": "\\le ",
        "\N{GREATER-THAN OR EQUAL TO}": "\\ge ",
        "\N{NOT EQUAL TO}": "\\ne ",
        "\N{ALMOST EQUAL TO}": "\\approx ",
        "\N{PLUS-MINUS SIGN}": "\\pm ",
        "\N{UNION}": "\\cup ",
        "\N{INTERSECTION}": "\\cap ",
        "\N{EMPTY SET}": "\\emptyset ",
        "\N{LATIN CAPITAL LETTER O WITH STROKE}": "\\emptyset ",
        "\N{ELEMENT OF}": "\\in ",
        "\N{DEGREE SIGN}": "^\\circ ",
        "\N{MICRO SIGN}": "\N{GREEK SMALL LETTER MU}",
        "\N{OHM SIGN}": "\N{GREEK CAPITAL LETTER OMEGA}",
        "\N{ANGSTROM SIGN}": "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}",
        "\N{DOUBLE-STRUCK CAPITAL R}": "\\mathbb{R}",
        "\N{DOUBLE-STRUCK CAPITAL Z}": "\\mathbb{Z}",
        "\N{LESS-THAN OR SLANTED EQUAL TO}": "\\le ",
        "\N{LESS-THAN OVER EQUAL TO}": "\\le ",
        "\N{GREATER-THAN OR SLANTED EQUAL TO}": "\\ge ",
        "\N{GREATER-THAN OVER EQUAL TO}": "\\ge ",
        "\N{LEFT FLOOR}": "\\lfloor ",
        "\N{RIGHT FLOOR}": "\\rfloor ",
        "\N{GREEK SMALL LETTER LAMDA}": "\\lambda ",
        "\N{GREEK SMALL LETTER RHO}": "\\rho ",
        "\N{GREEK SMALL LETTER SIGMA}": "\\sigma ",
        "\N{GREEK SMALL LETTER OMEGA}": "\\omega ",
        "\N{GREEK SMALL LETTER PHI}": "\\phi ",
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "\N{NO-BREAK SPACE}": " ",
        "\N{THIN SPACE}": "\\,",
        "\N{NARROW NO-BREAK SPACE}": "\\,",
        "\N{ZERO WIDTH SPACE}": "",
        "\N{WORD JOINER}": "",
        "\N{ZERO WIDTH NO-BREAK SPACE}": "",
        "\N{IDEOGRAPHIC COMMA}": ", ",
        "\N{IDEOGRAPHIC FULL STOP}": ".",
        "\N{MATHEMATICAL LEFT ANGLE BRACKET}": "\\langle ",
        "\N{MATHEMATICAL RIGHT ANGLE BRACKET}": "\\rangle ",
    }
    | {chr(code): chr(plain) for code, plain in _FULL_WIDTH.items()}
    | {
        c: "\\frac{{{}}}{{{}}}".format(*unicodedata.normalize("NFKC", c).split("\N{FRACTION SLASH}"))
        for c in map(chr, (0xBC, 0xBD, 0xBE, *range(0x2150, 0x215F)))
    }
)
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉"
_RAISED_RUN = re.compile(f"[{_RAISED}]+")
_LOWERED_RUN = re.compile(f"[{_LOWERED}]+")
_PLAIN_RAISED = str.maketrans(_RAISED, "0123456789+-n")
_PLAIN_LOWERED = str.maketrans(_LOWERED, "0123456789")
_NO_BRACKET = re.compile(r"\\(?:left|right)\s*\.")
_CHOOSE = re.compile(r"\{\s*([^{}\\]{1,20}?)\s*\\choose\s*([^{}\\]{1,20}?)\s*\}")
_ROW_SPACE = re.compile(r"\\\\\s*\[\d[\w.]{0,8}\]")
_DASH = re.compile(r"(\A|[=(,{:$]\s*|\b(?:is|are|equals)\s+)\u2013(?=[\d\\a-z])")
"""A short dash as the sign of a number."""
_ROOT = re.compile(r"√\s*(?:(\d+|[a-zA-Z])|\(([^()]*)\)|\{([^{}]*)\})")

_BRACES = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
"""What stands in braces that hold at most two levels of others."""
_FONTS = re.compile(rf"\\(?:mathbf|mathit|mathsf|mathtt|boldsymbol|bm|mathnormal|emph|underline|mathop)\s*{_BRACES}")
TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
"""Words within a formula."""
_TEXT_FONTS = re.compile(rf"\\(?:textbf|textit|textrm|textsf|texttt|textnormal|mbox|hbox|mathrm|text)\s*{_BRACES}")
_ROMAN = re.compile(r"\{\s*\\rm(?![a-zA-Z])\s*([^{}]*)\}")
_OLD_FONTS = re.compile(r"\\(?:bf|rm|it|sf|tt|bfseries)(?![a-zA-Z])\s*")
_HIDDEN = re.compile(r"\\(?:phantom|hphantom|vphantom|hspace\*?|vspace\*?|label|tag\*?|(?:text)?color)\s*\{[^{}]*\}")
_LAYOUT = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|left|right|middle|[bB]igg?[lrm]?|strut|mathstrut"
    r"|hfill|noindent|nonumber|centering|tiny|small|normalsize|large|Large|LARGE|huge|Huge)(?![a-zA-Z])\s*"
)
_BLANKS = re.compile(r"\\(?:quad|qquad|enspace|thinspace|medspace|thickspace)(?![a-zA-Z])|(?<!\\)\\[;: ]|(?<!\\)~")
_GROUPED = re.compile(r"(?<=\d)\s*(?:\{,\}|\\,|\\!|,\\!|\\;)\s*(?=\d{3}(?!\d))")
_DECIMAL = re.compile(r"(?<=\d)\{,\}(?=\d)")
"""2{,}5 in a text that groups no digits by it."""
_NAMES = {
    name: spelled
    for spelled, names in {
        "\\frac": ("dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"),
        "\\binom": ("dbinom", "tbinom"),
        "\\le ": ("leq", "leqslant", "leqq"),
        "\\ge ": ("geq", "geqslant", "geqq"),
        "\\ne ": ("neq",),
        "<": ("lt",),
        ">": ("gt",),
        "\\emptyset ": ("varnothing", "O"),
        "\\epsilon ": ("varepsilon",),
        "\\phi ": ("varphi",),
        "\\{": ("lbrace",),
        "\\}": ("rbrace",),
        "[": ("lbrack",),
        "]": ("rbrack",),
        "(": ("lparen",),
        ")": ("rparen",),
        "^\\circ ": ("degree", "textdegree"),
        "\\approx ": ("simeq", "thickapprox", "doteq"),
        "...": ("ldots", "dots", "cdots", "dotsc", "dotsb"),
        "\\setminus ": ("backslash", "smallsetminus"),
        "\\cup ": ("bigcup",),
        ":": ("colon",),
        "\\times ": ("ast",),
    }.items()
    for name in names
}
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_ONLY_FORMULA = re.compile(r"[^A-Za-z\u3040-\u9fff]*[A-Za-z]?[^A-Za-z\u3040-\u9fff]*")
_NUMBER_FIRST = re.compile(r"\s*([-+]?\d[\d.,/]*)(?!(?:st|nd|rd|th)\b)(\s*[A-Za-z][^\d,]*)")
"""A number with words: 24 cm, and no list."""
_UNIT_POWERS = re.compile(r"[A-Za-z\u00b0\u03bc\u03a9\s\\,;~/.*\u00b7^{}\d-]+")
_UNIT_POWER = re.compile(r"\^\s*\{?\s*(-?\d+)\s*\}?")
_OHMS = re.compile(r"(?<=[\d}])\s*(?:\\text\{\s*([kMG]?)\s*\}|([kMG]?))\s*\\Omega(?![A-Za-z])(?!\s*[\^_(])")
_MICRO = re.compile(r"(?<=[\d}])\s*\\mu\s*(?:\\text\{\s*([A-Za-z]{1,3})\s*\}|([FCAHVW])(?![A-Za-z]))")
_LONE_LETTER = re.compile(r"\\text\{(\s*[A-Za-z])\s*\}")
_UNIT_LETTER = re.compile(r"\s*[mgshNJWVLTFHACK]\s*")
_ONE_POWER = re.compile(r"\s*[mgs]\s*\^\s*\{?-?\d\}?\s*")
_WITH_AND = re.compile(r"(\s*[^\W\d_][^,;]{0,40}?)(\s+(?:and|or)\s*)")
"""A unit and the word before the next amount: 3 cm and 4 cm."""
_UNIT_PART = r"(?:\\text\{[^{}]*\}|\^\{-?\d+\}|\\cdot(?![a-z])|[\s/*.()])"
_UNIT_RATIO = re.compile(rf"\\frac\s*\{{({_UNIT_PART}+)\}}\s*\{{({_UNIT_PART}+)\}}")
_UNIT_END = re.compile(rf"(?:(?<=[\d}}])|(?<=\\pi))(?:{_UNIT_PART}|{_UNIT_RATIO.pattern})+\Z")
"""Units in \\text behind a value, at the end of a formula."""
_POWER = re.compile(r"\^\s*([-+]?\d+(?!\d))")
_SIGN_POWER = re.compile(r"\^\s*([-+*])(?![\w.({\\])")
"""Of Z^+ and a limit from above."""
_MODULO = re.compile(r"\\?\(\s*(?:\\text\s*\{\s*mod\s*\}|\\b?mod(?![a-z])|mod\b)\s*(\w+)\s*\)")
_VECTOR = re.compile(r"\\vec(?:\s*\{\s*([A-Za-z])\s*\}|\s+([A-Za-z])(?![A-Za-z]))")
_AXIS = re.compile(r"\\hat\s*(?:\{\s*\\?([ijk])(?:math)?\s*\}|\\?([ijk])(?:math)?(?![A-Za-z]))")
"""A vector of one along an axis."""
_CONSTANT = re.compile(
    r"(?:\\text\s*\{\s*,?\s*where\s*\}|\bwhere\s)\s*[A-Z]\s*"
    r"(?:\\text\s*\{\s*is\s[a-z\s]{0,40}constant[a-z\s]{0,30}\}|is\s[a-z\s]{0,40}constant[a-z\s]{0,30})[\s).]*\Z"
)
"""Where C is a constant."""
_COEFFICIENT = re.compile(r"(?<![\w.^/{])(\d+)/([1-9]\d*)(?= ?[A-Za-z](?![A-Za-z]| ?10\b))")
"""Of 3/4 x, which a calculator reads as three quarters of x."""
_STARS = re.compile(r"(?<=[\w)}])\s*\*\*\s*(?=[-\w({])")
_PI = re.compile(r"(?<![\\A-Za-z])[pP]i(?![A-Za-z])")
_INFINITY = re.compile(r"(?<![\\A-Za-z])(?:[iI]nfinity|inf|oo)(?![A-Za-z])")
_SQRT = re.compile(r"(?<![\\A-Za-z])sqrt(?=\s*[({\d])")
_ROOT_OF = re.compile(r"(?<![\\A-Za-z])sqrt\s*\(([^()]*)\)")
_CALLED = re.compile(
    r"(?<![\\A-Za-z])(ln|log|exp|sin|cos|tan|arcsin|arccos|arctan)(?=\s*[(\d^]|\s*\\(?!text)|\s+[a-z](?![A-Za-z]))"
)
_BLACKBOARD = re.compile(r"\\mathbb\s*([A-Z])(?![A-Za-z])")
_IN_INTEGERS = re.compile(r"\\in\s*Z(?![A-Za-z_^'])")
_RELATIONS = (("<=", "\\le "), (">=", "\\ge "), ("=<", "\\le "), ("!=", "\\ne "), ("==", "="))

_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("***", "***"),
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("_", "_"),
    ("```", "```"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
    ("\u201c", "\u201d"),
    ("\u2018", "\u2019"),
    ("\u300c", "\u300d"),
)
_DOLLARS = re.compile(
    r"\$\s?-?[\d,]*\.?\d+(?:\s*(?:/\s*|(?:per|an?|each|thousand|million|billion|trillion)\b)[A-Za-z\s]{0,40})?"
)
"""An amount of money, whose sign opens no formula."""
_MARKS = frozenset(pair[i][-i] for pair in _PAIRS for i in (0, 1))
_TAG = re.compile(r"</?(?:b|i|u|em|strong|mark|span|p|div|sub|center|code|font|answer|br)(?:\s[^<>]{0,80})?/?>", re.I)
_ENDS = ".;:,!?\u3002\uff0c\uff1b\uff1a\uff01\u3001"
_STARTS = ":;,\uff1a\uff0c>#"


@lru_cache(maxsize=4096)
def peel(text: str) -> str:
    """`text` without what only surrounds it: Markdown, tags, quotes, maths delimiters, emoji, punctuation."""
    text = _TAG.sub("", text)
    while True:
        before = text
        text = text.strip().strip("\u200b\ufeff")
        text = _without_pictures(text)
        text = text.lstrip(_STARTS).lstrip()
        if not text.endswith(("...", "\\,", "\\;", "\\:", "\\!")):
            text = text.rstrip(_ENDS).rstrip() if not text.endswith("!") or not _factorial(text) else text
        text = _without_pair(text)
        if text == before:
            return text


def _factorial(text: str) -> bool:
    return len(text) > 1 and (text[-2].isalnum() or text[-2] in ")}")


def _without_pictures(text: str) -> str:
    """`text` without emoji at its ends; degree and other signs of mathematics are no pictures."""

    def picture(c: str) -> bool:
        return c in "\ufe0f\u200d" or (unicodedata.category(c) == "So" and c != "\N{DEGREE SIGN}")

    start, end = 0, len(text)
    while start < end and picture(text[start]):
        start += 1
    while end > start and picture(text[end - 1]):
        end -= 1
    return text[start:end].strip()


def _without_pair(text: str) -> str:
    if not text or (text[0] not in _MARKS and text[-1] not in _MARKS):
        return text
    for opening, closing in _PAIRS:
        if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            if opening not in inner and closing not in inner:
                return inner
    if _DOLLARS.fullmatch(text):
        return text
    # What opens and never closes: a cut that fell inside a pair.
    for mark in ("***", "**", "__", "*", "_", "$", '"', "`"):
        one_end = text.startswith(mark) != text.endswith(mark)
        if one_end and text.count(mark) == 1 and len(text) > len(mark) and not text.endswith(("\\$", "^*")):
            return text.removeprefix(mark).removesuffix(mark)
    return text


@lru_cache(maxsize=4096)
def formula(text: str) -> str:
    """A formula as plain LaTeX: one name for each command, no fonts, no layout, words in \\text alone."""
    text = _RAISED_RUN.sub(lambda m: "^{" + m[0].translate(_PLAIN_RAISED) + "}", text)
    text = _LOWERED_RUN.sub(lambda m: "_{" + m[0].translate(_PLAIN_LOWERED) + "}", text)
    text = _ROOT.sub(lambda m: f"\\sqrt{{{m[1] or m[2] or m[3] or ''}}}", text).translate(_SIGNS)
    text = _NO_BRACKET.sub("", text.rstrip("\\ ")).replace("{-}", "-")
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", _ROW_SPACE.sub(r"\\\\ ", _DASH.sub(r"\1-", text)))
    text = _HIDDEN.sub("", text)
    text = _LAYOUT.sub("", text)
    text = _ROMAN.sub(r"\\mathrm{\1}", text)
    text = _TEXT_FONTS.sub(_text, _FONTS.sub(r"\1", _FONTS.sub(r"\1", text)))
    text = _MODULO.sub(r"\\pmod{\1}", _without_constant(_OLD_FONTS.sub("", text)))
    text = _AXIS.sub(_vector, _VECTOR.sub(_vector, text))
    text = _DECIMAL.sub(".", _GROUPED.sub("", text))
    text = text.replace("\\,", " ").replace("\\!", "").replace("{,}", ",").replace("\\%", "%").replace("\\$", "")
    text = _BLANKS.sub(" ", text)
    text = _COMMAND.sub(lambda m: _NAMES.get(m[1], m[0]), text)
    for sign, spelled in _RELATIONS:
        text = text.replace(sign, spelled)
    text = _SIGN_POWER.sub(r"^{\1}", _POWER.sub(r"^{\1}", _STARS.sub("^", text)))
    text = _CALLED.sub(r"\\\1 ", _ROOT_OF.sub(r"\\sqrt{\1}", text))
    text = _SQRT.sub(r"\\sqrt", _INFINITY.sub(r"\\infty ", _PI.sub(r"\\pi ", text)))
    text = _BLACKBOARD.sub(r"\\mathbb{\1}", _IN_INTEGERS.sub(r"\\in \\mathbb{Z}", text))
    return _COEFFICIENT.sub(r"\\frac{\1}{\2}", " ".join(_units(text).split()))


def _without_constant(text: str) -> str:
    match = _CONSTANT.search(text)
    return text[: match.start()].rstrip(" ,;(") if match else text


def _vector(match: re.Match[str]) -> str:
    """The name of a vector, apart from a command before it."""
    return (" " if match.string[match.start() - 1 : match.start()].isalpha() else "") + (match[1] or match[2])


def _units(text: str) -> str:
    r"""A formula whose units stand in \text: `5 \Omega`, `5 \mu F`, and letters alone where they end a value."""
    text = _OHMS.sub(lambda m: f"\\text{{ {m[1] or m[2] or ''}\u03a9}}", text)
    text = _MICRO.sub(lambda m: f"\\text{{ \u03bc{m[1] or m[2]}}}", text)
    end = _UNIT_END.search(text) if "\\text" in text else None
    if end and (letter := _LONE_LETTER.fullmatch(end[0].strip())):
        # 2\text{m} may be 2m; of a letter alone only the likeliest units are taken for one.
        end = None if text[end.start() - 1].isdigit() or letter[1].strip() not in "mgsNJWV" else end
    value = text[: end.start()] if end else text
    return _LONE_LETTER.sub(r"\1", value) + (_UNIT_RATIO.sub(r"\1/\2", end[0]) if end else "")


def _text(match: re.Match[str]) -> str:
    r"""Words stay in \text{}; a number or a formula of one letter (`\text{13}`) needs none."""
    content = match[1].replace("\\ ", " ").replace("~", " ")
    if (joined := _WITH_AND.fullmatch(content)) is not None:
        return f"\\text{{{joined[1]}}}\\text{{{joined[2]}}}"
    if _UNIT_LETTER.fullmatch(content):
        return f"\\text{{{content}}}"
    if _ONLY_FORMULA.fullmatch(content) and not _ONE_POWER.fullmatch(content):
        return content
    if "^" in content and _UNIT_POWERS.fullmatch(content):
        words = _UNIT_POWER.split(content)
        return "".join(
            (f"^{{{part}}}" if i % 2 else f"\\text{{{part}}}") for i, part in enumerate(words) if part.strip()
        )
    amount = _NUMBER_FIRST.fullmatch(content)
    return f"{amount[1]}\\text{{{amount[2]}}}" if amount else f"\\text{{{content}}}"
