r"""What a mathematical answer may mean: the formula that is compared.

An answer without words is a formula as it stands. An answer in words ("It takes John **12 minutes** to speak 10
pages.") is read by the first of these that it has: what is in bold, what is marked as a formula, and, for a gold answer
that is a number, the first number after the last "=" or "is" of what the sentence concludes, or its only number, or the
one of several that `_one_of_several` tells; for any other gold answer what follows the last "is", "are" or colon.
Several formulas that only "and", "or" or a comma holds apart are one answer. Only a number is looked for among words:
the last number of 2x + 3 is not its value. A number that stands in a choice or a range (5 or 6, between 10 and 20) is
no answer: nothing is read.
"""

import re

from stepsift.verify.amounts import compound
from stepsift.verify.numbers import read_number, same_scaled
from stepsift.verify.shapes import assigned, read_shape, split_at
from stepsift.verify.spelling import TEXT, formula, peel
from stepsift.verify.units import read_unit

_FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp|pi|sqrt|inf|lim|max|min|gcd|lcm|mod|det|and|or"
_OTHER_LETTER = r"[\u0400-\u1fff\u3040-\u9fff\uac00-\ud7af]"
"""Of alphabets that formulas do not use: Cyrillic, Arabic, Thai, Korean, Chinese."""
_WORD = re.compile(rf"(?<![\\A-Za-z])(?!(?:{_FUNCTIONS})(?![A-Za-z]))[A-Za-z]{{2,}}|{_OTHER_LETTER}")
_LONG_WORD = re.compile(rf"(?<![\\A-Za-z])(?!(?:{_FUNCTIONS})(?![A-Za-z]))[A-Za-z]{{4,}}|{_OTHER_LETTER}")
_COMMON = re.compile(
    r"(?<![\\A-Za-z])(?:is|it|he|she|so|we|the|of|to|in|at|by|are|was|has|had|per|for|all|any|not|no|yes|you|his|her|its"
    r"|be|as|an|if|on|do|only|get|gets|got|have|can|will|there|that|this|they|then|thus)(?![A-Za-z(])"
    r"|(?<![\\A-Za-z])[A-Za-z]{2,}\s+[A-Za-z]{2,}",
    re.IGNORECASE,
)
_OPERATOR = re.compile(r"[\d+*/^=_{}\\<>-]")
_TEXT = re.compile(
    r"\\text\s*\{([^{}]*)\}|\\begin\{[a-z]+\}|\\end\{[a-z]+\}|\\(?:operatorname|mathbb|mathcal)\s*\{[^{}]*\}"
)
_MARKED = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]|\$\$(.+?)\$\$|\$((?:[^$\\]|\\.)*[^$\s\\])\$(?!\d)", re.DOTALL)
_BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__(?!\w)", re.DOTALL)
_JOINED = re.compile(r"[\s*]*(?:,|;|&|(?:,\s*)?(?:and|or)|\u548c|\u6216|\u3001)[\s*]*", re.IGNORECASE)
_VALUE = re.compile(
    r"(?:(?<!\w)-)?(?:\\frac\s*(?:\{\s*\d+\s*\}|\d)\s*(?:\{\s*\d+\s*\}|\d)|(?<!\w)\.\d+"
    r"|(?:\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?!\d)|\d+)(?:\.\d+)?)(?:[eE][-+]?\d+)?"
    r"(?:\s*(?:x|\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{\s*[-+]?\d+\s*\}|[-+]?\d+)"
    r"|\s*\\frac\s*\{\d+\}\s*\{\d+\}|\s+\d+\s*/\s*\d+|\s*/\s*\d+)?(?:\s*\\?%|\s*(?:\\text\s*\{\s*)?(?:thousand|million|billion|trillion)\b)?"
)
"""A number among words: 1,250.50, 3/4, 2 1/2, 1.6 x 10^-19, 20%, 5 million."""
_MORE_VALUES = rf"(?:,\s*\$?(?>{_VALUE.pattern}))"
"""One way to read each: 1,111,1 could else be cut into numbers in more ways than can be tried."""
_SEVERAL = re.compile(
    rf"{_MORE_VALUES}*+,?\s*(?:\b(?:or|and|to|oder|ou|oppure|\u0438\u043b\u0438)\b|[-\u2013~\u81f3\u5230;])\s*\$?{_VALUE.pattern}|{_MORE_VALUES}++[\s.;]*\Z"
)
_EMPHASIS = re.compile(r"(?<![\w*\\])([*_])(?=\S)([^*_\n]{1,80}?)(?<=\S)\1(?![\w*])")
_CALLED = r"(?:arc)?(?:sin|cos|tan|cot|csc|ln|log|exp|sqrt|pi)\b"
_COMPARED = r"(?:exceeds?|minus|negative|between)"
_BEFORE_VALUE = re.compile(
    r"(?:\A|[=:,;.?!\"'\u201c\u201d\u2018\u2019#~\u2192\u2234\u2022\u20ac\u00a3\u2190-\u21ff\u2794-\u27be]|(?:\A|[^\W\d_]{2}\W?\s)[-\u2013\u2014]|['\u2019](?:s|re)"
    r"|\\(?:approx|to|Rightarrow|rightarrow|implies|therefore|quad|qquad)|\w\w\)|(?:\A|\s)\([A-Ja-j]\)|<\w+>|>>|\w\]|\|\s"
    rf"|(?<![\\\w])(?!{_CALLED}|{_COMPARED}\b)[^\W\d_]{{2,}}|(?<![\\\w])[aAI\u00c0-\u024f]|[\u0400-\u1fff\u3040-\u9fff\uac00-\ud7af])\s*\Z",
    re.IGNORECASE,
)
"""What may stand before a number among words: no operator, no bracket and no word that makes it a bound."""
_AFTER_VALUE = re.compile(
    r"\s*(?:\Z|[.,;?!)\]\"'\u2019\u201d=%]|(?<=\d):(?!\d)|:(?!\s*\d)|</|\[/|>>|(?<=\s)\|"
    r"|\^\s*\{?\s*\\circ|\\[,;:!% ]|\\(?:circ|quad|qquad|approx|checkmark)"
    r"|\\text|-(?=[^\W\d_]{2})|[\u2013\u2014]|/\s*[^\W\d_]{2}|\s\((?=[^()]*(?:[^\W\d_]{2}|\d\s*\)))"
    r"|[\u0400-\u1fff\u3040-\u9fff\uac00-\ud7af]"
    rf"|[-]\s+[^\W\d_]{{2}}|(?!{_CALLED})[^\W\d_]{{2,}}|\s(?:[aAI]\s+[^\W\d_]{{2}})|[\u2192\u2234\u20ac\u00a3\u00b0#\u2713\u2705])"
)
"""What may stand behind it: a word or a sign that goes on with the sentence, and not with a formula."""
_ABBREVIATION = re.compile(r"\s*([A-Za-z\u00b5\u03bc\u03a9]{1,3})(?:\^\{?-?\d\}?)?(?![A-Za-z(])")
_VARIABLES = re.compile(r"(?:(?!by\b)[abcpqrxyz]{2}|abc|xyz)\Z")
_AFFIX = re.compile(r"(?:st|nd|rd|th|am|pm|pcs|pts|x)\Z", re.IGNORECASE)
_MORE_THAN = re.compile(r"\s*(?:more|less|fewer|greater|times)\s+(?:than\s+)?(?:as\s+)?\\?[a-z](?![a-z])")
_BOUND = re.compile(
    r"(?:\A|\b(?:is|are|be|was|were)\s)\s*(?:at\s+(?:least|most)|up\s+to|over|under|above|below"
    r"|(?:more|less|fewer|greater|larger|smaller|bigger|higher|lower)\s+than(?:\s+or\s+equal\s+to)?)\s*\Z",
    re.IGNORECASE,
)
"""More than 3 is no value; one cannot buy more than 3 is one."""
_OF = "(?:half|third|quarter|root|multiple|factor|divisor|power|square|cube|factorial|reciprocal|inverse|logarithm)"
_CHANGED_BEFORE = re.compile(
    r"\b(?:twice|thrice|double|triple|half|(?:close|next)\s+to|near|nearly|almost"
    rf"|(?:one|two|three|\d)\s+(?:more|less|fewer)\s+than|(?:\d+|three|four|five|six|seven|eight|nine|ten)\s+times|{_OF}s?\s+of)\s*\Z",
    re.IGNORECASE,
)
_CHANGED_BEHIND = re.compile(
    r"\s*(?:(?:squared|cubed|factorial|choose|divided|multiplied|modulo|mod)\b"
    r"|(?:times|plus|minus|(?:percent\s+)?of(?:\s+the)?|(?:more|less|fewer)\s+than)\s+\$?\d)",
    re.IGNORECASE,
)
"""Words that make another number of one: twice 14, a multiple of 14, 14 squared, 14% of 50."""
_AND_A_PART = re.compile(r"\s*(?:\\text\s*\{\s*)?and\s+(?:a|one)[\s-](?:half|third|quarter)\b")
_TWO_UNITS = re.compile(r"\s*([A-Za-z]+)(?:\s*,|,?\s+and)?\s+\d[\d.]*\s*([A-Za-z]+)")
"""3 hours and 20 minutes."""
_OTHERWISE = re.compile(
    r"\b(?:not|less|more|fewer|least|most|twice|half|longer|shorter|later|earlier|minus|plus)\b", re.IGNORECASE
)
"""Words that make an amount in several units another one."""
_RATIO = re.compile(r"\d+(?:\.\d+)?:\d+(?:\.\d+)?(?![\d:])")
_FIRST = re.compile(r"\s*[.,;(]")
"""41, not 42."""
_LABEL = re.compile(
    r"\A(?!\s*\w*ratio)(?:[^\W\d_][^\W\d_\s]*(?:\s[^\W\d_]+){0,3}\s*:\s+"
    r"|\\text\s*\{[^{}:]{1,40}:\s*\}|\\text\s*\{[^{}:]{1,40}\}\s*:)",
    re.IGNORECASE,
)
"""Total: 42, and no ratio."""
_ABOUT = re.compile(r"\s*\(\s*\\approx([^()]*)\)\Z")
_TWICE = re.compile(r"([-\d./]+%?|\\frac\{\d+\}\{\d+\})\s+\(\s*([-\d./]+%?)\s*\)")
"""3/4 (75%)."""
_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_DECIMAL_COMMA = re.compile(r"-?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")
_CLAUSE = re.compile(
    r"\s*[,(]*\s*(?:for\s+(?:all|any|every|each)|where|when|whenever|since|because|as|attained|achieved|provided|if)\b[^.]*\Z",
    re.IGNORECASE,
)
"""What stands between an answer and a formula that only says where it holds: $x + 2$, where $x \\ne 2$."""
_LEADS = re.compile(r"(?:so|thus|hence|therefore|answer|final answer|result|conclusion|step \d+)\W*\Z", re.IGNORECASE)
_HOLDS_FOR = re.compile(
    r"(.{1,300}?)(?:[,;\s]|\\text\s*\{\s*,?\s*(?:for|where|when|if|with)(?:\s+(?:all|any))?\s*\}|(?:for|where|when|if)\s)+"
    r"\(?\s*([a-z])\s*(?:\\(?:ne|ge|le|in)(?![a-z])|[<>])[^(),=]{1,40}\)?"
)
"""An answer with the values for which it holds: 2n+1 (n >= 1)."""
_RELATION = re.compile(r"\\(?:ne|ge|le|in)(?![a-z])|[<>]")
_ABOVE = re.compile(r"[\s$]*>(?![>=])")
_MINUS = re.compile(
    r"(\A|=|:|\b(?:is|are|be|equals?|of|gets?|gives?)\b)\s*(?:-\s+|(?:minus|negative)\s+)(?=\d|\\frac)", re.IGNORECASE
)
_COMES_TO = re.compile(
    r"(?<!\b(?:to|in)\s)\b(?:gives?|gets?|costs?|totals?|total\s+of|leaving|leaves|makes?|equals?)\b(?=[^.]*?\d)",
    re.IGNORECASE,
)
_TOLD_IN_ALL = re.compile(
    rf"(?<![\w.,-])(?>{_VALUE.pattern})(?:\s[^\W\d]+){{0,4}}\s(?:in\s+total|in\s+all|altogether)\b", re.IGNORECASE
)
"""12 trees in all."""
_IN_ALL = re.compile(
    r"\A\W*(?:(?:so|thus|then|hence|therefore)\b,?\s+)?(?:in|after|for|over|within|during|(?:out\s+)?of)\s[^.,=]{0,40},\s+(?=\w)",
    re.IGNORECASE,
)
"""A beginning that holds another number: In 3 days, she reads 12 pages."""
_OF_IT = re.compile(
    r"[^,;\d]*?\b(?:for|in|after|to|by|over|on|during|within|from|than|of|at|so)\b"
    r"(?:(?!\band\b|\bbut\b)[^,;]|,(?=\d{3}))*\Z",
    re.IGNORECASE,
)
"""What stands behind the object of a sentence and says of it how, when or for what: 12 pizzas for 20 friends."""
_NO_OBJECT = re.compile(r"\A\W*\w+ing\b|\b(?:the|these|those|all|each|every|his|her|their|its)\W*\Z", re.IGNORECASE)
"""What stands before a number that is not what the sentence is about: Adding 3 .., the 14 boys .."""
_NOT = re.compile(
    r"(?:(?:\bnot|\bnever|(?:\bcannot|n['\u2019]t)(?:\s+be)?)[\s}$]+(?:equal(?:\s+to)?\s+)?"
    r"|\b(?:nicht|no\s+es|(?:n['\u2019]est\s+)?pas|n\u00e3o\s+\u00e9|non\s+\u00e8|\u043d\u0435)\s+|(?:\u4e0d(?:\u662f|\u7b49\u4e8e)?|\u975e)\s*)\Z",
    re.IGNORECASE,
)
_IS_NOT = re.compile(
    r"\s*(?:(?:is\s+not|isn['\u2019]t|can(?:not|['\u2019]t)\s+be|is\s+(?:wrong|incorrect))\b"
    r"|\u3067(?:\u306f|\u3082)(?:\u3042\u308a\u307e\u305b\u3093|\u306a\u3044)|\S?\s*\uc544[\ub2c8\ub2d9\ub2cc])",
    re.IGNORECASE,
)
"""Not, before and behind a number, also in the languages in which answers are announced."""
_EQUALS = re.compile(r"(?:=|\b(?:is|are|be|equals)\b)(?=[^=]*?\d)")
_REASON = re.compile(
    r"(?:,|\s\(|(?<=\w))\s*(?:(?:since|because|given\s+that|seeing\s+that)\s|with\s+[A-Za-z]\s*=|(?:and\s+)?not\s+-?\d"
    r"|\d+\s+of\s+(?:them|which|whom|these|those)\b).*\Z",
    re.IGNORECASE,
)
"""The area is 8, since the base is 14. The sum is 23, with x = 9 and y = 14."""
_HENCE = re.compile(r"[,;]\s*(?:and\s+)?(?:so|thus|hence|therefore)\b(?!\s+that\b)(?=.*?\d)", re.IGNORECASE)
_AND_IS = re.compile(r"\d[^,;=]*,?\s(?:and|while)\s[^,;=]*\b(?:is|are)\Z", re.IGNORECASE)
"""The smallest is 3 and the largest is 14."""
_PLACE = re.compile(r",?\s(?:attained|achieved|reached|occurring|when|where|at|for)\s[^.=]{0,60}=", re.IGNORECASE)
_CONDITION = re.compile(
    r"\s*(?:(?:so|thus|hence|then|therefore)\b,?\s+)?(?:for|when|if|at|with|taking|setting|putting)\s[^.,=]{0,60}=\s*[^\s,]+,?\s+"
    r"(?=(?:we|it|there|the|this|one)\b)",
    re.IGNORECASE,
)
"""For n = 4 we get 7."""
_LEAD = re.compile(r"^.*(?:\b(?:is|are|be|equals|to|or simply)\b|[:\u662f\u4e3a\uff1a])\s+(?=\S)", re.DOTALL)
_CURRENCY = {"\\$": "$", "\u20ac": "", "\u00a3": ""}
_PARAMETER = re.compile(
    r"(.{1,300}?)(?:[,;\s]|\\text\s*\{\s*,?\s*(?:for|where|with)\s*(?:any|all|some|every)?\s*\}|\()*"
    r"([a-z])\s*\\in\s*\\mathbb\{Z\}\s*\)?"
)
_K = re.compile(r"(?<![\\A-Za-z])k(?![A-Za-z])")
_SO = re.compile(r"\A\s*(?:so|thus|hence|therefore|then)\b[,:\s]*(?=[$\\({\[])", re.IGNORECASE)
"""A word before a formula, which would be read as a part of it: So $x = 2$."""
LONGEST = 2_000


def holds_words(text: str) -> bool:
    """Whether a formula in `spelling.formula`'s spelling holds words, other than a unit at the end of a number."""
    bare = _TEXT.sub(lambda m: " " if m[1] is None or not _WORD.search(m[1]) else m[1], text)
    word = _LONG_WORD if _OPERATOR.search(bare) else _WORD
    return word.search(bare) is not None or _COMMON.search(bare) is not None


def is_formula(text: str) -> bool:
    """Whether a text is a formula, or a number with its unit, from end to end."""
    shape = read_shape(text)
    if not text or shape.kind in ("clock", "base"):
        return bool(text)
    if shape.name and (side := assigned(text)):
        # The name S of S = 12 is no unit.
        return is_formula(side) or not holds_words(text)
    if shape.text != text and shape.number is not None and shape.unit is None:
        # Of unknown words a few small ones or one may be a unit: "5 apples", "5 Apples", and no "12 Angry Men".
        unit = text.replace(shape.text, "", 1)
        one_word = len(unit.replace("\\text{", "").split()) == 1
        return (
            len(unit.split()) <= 3
            and not _MORE_THAN.match(unit)
            and not _CHANGED_BEHIND.match(unit)
            and (unit == unit.lower() or one_word or "\\circ" in unit)
        )
    if shape.text != text and shape.unit is not None:
        return shape.number is not None or is_formula(shape.text)
    if shape.kind in ("list", "set", "group", "union"):
        return bool(shape.items) and all(is_formula(item.text) or not holds_words(item.text) for item in shape.items)
    return shape.number is not None or not holds_words(text)


def is_number(gold: str) -> bool:
    """Whether a gold answer is one number, fraction, percentage or amount, with or without a unit."""
    shape = read_shape(formula(unmarked(peel(gold))))
    return shape.kind == "value" and shape.number is not None


def formulas(answer: str, gold: str) -> list[str]:
    """The formulas that an answer may mean, best first; none where it holds nothing to read."""
    return [variant for text in _formulas(answer, gold) for variant in _variants(text, gold)]


def _variants(text: str, gold: str) -> list[str]:
    """A formula and what else it may be: either side of an "approximately", groups of digits, a decimal comma."""
    text = _ABOUT.sub(r" \\approx \1", text)
    twice = _TWICE.fullmatch(text)
    if twice and _is_gold(twice[1], twice[2]):
        return [twice[1]]
    variants = [text]
    sides, about = split_at(text, ("\\approx",))
    if about:
        variants += [side for side in sides if "=" in side or (side and assigned(f"{side} = 0") is None)]
    if read_number(text) is None:
        # The commas of 30,000 + 27,500 = 57,500 hold no items apart; those within brackets may.
        groups = text if re.search(r"[(\[{]", text) else _GROUPS.sub(lambda m: m[0].replace(",", ""), text)
        variants += [groups] if groups != text else []
        if _DECIMAL_COMMA.fullmatch(text) and is_number(gold):
            variants.append(text.replace(".", "").replace(",", "."))
    elif _GROUPS.fullmatch(text) and text != gold and read_shape(formula(unmarked(peel(gold)))).kind in ("list", "set"):
        variants.append(text.replace(",", ", "))
    condition = _HOLDS_FOR.fullmatch(text)
    if condition and not _RELATION.search(formula(gold)) and not _RELATION.search(condition[1]):
        body = condition[1].rstrip(" ,;(")
        if re.search(rf"(?<![\\A-Za-z]){condition[2]}(?![A-Za-z])", body) and body != condition[2]:
            variants.append(body)
    return variants


def _formulas(answer: str, gold: str) -> list[str]:
    text = peel(_SO.sub("", _without_condition(answer[:LONGEST])))
    plain = _for_any_integer(formula(unmarked(text)))
    if ":" in plain and ":" not in gold:
        plain = _LABEL.sub("", plain)
    if plain and _ABOVE.match(gold) and _ABOVE.match(answer):
        # Elsewhere the sign is Markdown's, of a quotation.
        plain = f"\\text{{it}} > {plain}"
    if not plain:
        return []
    if is_formula(plain):
        return [plain]
    number = is_number(gold)
    bold = _run(_BOLD, text)
    if bold is not None and (_VALUE.search(bold) or not number) and "**" not in bold:
        in_bold = _formulas(bold, gold)
        if in_bold:
            return in_bold
    marked = _run(_MARKED, text)
    if marked is not None:
        inside = _for_any_integer(formula(peel(marked)))
        return [inside] if inside and not holds_words(inside) else _spoken(inside, number, gold)
    return _spoken(text, number, gold)


def _without_condition(text: str) -> str:
    """A sentence without the beginning that says for which value it holds: For n = 4 we get 7."""
    condition = _CONDITION.match(text)
    return text[condition.end() :] if condition and _VALUE.search(text, condition.end()) else text


def _for_any_integer(text: str) -> str:
    r"""`k\pi` of `n\pi, n \in \mathbb{Z}`: an answer that an integer runs through, under one name."""
    match = _PARAMETER.fullmatch(text)
    if match is None:
        return text
    body, name = match[1].rstrip(" ,;"), re.compile(rf"(?<![\\A-Za-z]){match[2]}(?![A-Za-z])")
    if name.search(body) is None or (match[2] != "k" and _K.search(body)):
        return text
    return name.sub("k", body)


def _spoken(text: str, number: bool, gold: str) -> list[str]:
    """What is said in words, without marks."""
    for sign, spelled in _CURRENCY.items():
        text = text.replace(sign, spelled)
    text = formula(_EMPHASIS.sub(r"\2", text.replace("**", "").replace("$", "")))
    if number:
        return _spoken_number(_without_place(text), gold)
    lead = _LEAD.match(text)
    rest = peel(text[lead.end() :] if lead else text)
    return [rest] if rest else []


def _spoken_number(text: str, gold: str) -> list[str]:
    """The number that a sentence comes to; none where several numbers leave it open."""
    text = _MINUS.sub(r"\1 -", " ".join(TEXT.sub(r" \1 ", text).split()))
    after = [m.end() for m in _EQUALS.finditer(text)]
    start = after[-1] if after else 0
    if len(after) > 1 and _AND_IS.search(text, after[-2], after[-1]):
        return []
    value = _VALUE.search(text, start)
    ratio = _RATIO.match(text, value.start()) if value else None
    if ratio and "ratio" in text.lower():
        return [ratio[0]]
    if value is not None and (whole := _compound_of(gold, text, value.start())):
        others = any(not value.start() <= m.start() < whole for m in _VALUE.finditer(text))
        alone = (
            _stands_alone(text, value.start(), whole) and not _OTHERWISE.search(text) and (bool(after) or not others)
        )
        return [text[value.start() : whole]] if alone else []
    if value is None or not _stands_alone(text, value.start(), value.end()):
        return []
    if after or (_FIRST.match(text, value.end()) and not text[: value.start()].strip()):
        return [formula(value[0])]
    numbers = {formula(m[0]) for m in _VALUE.finditer(text)}
    return [formula(value[0])] if len(numbers) == 1 else _one_of_several(text, value)


def _one_of_several(text: str, first: re.Match[str]) -> list[str]:
    """The number that a sentence without "is" comes to, if a verb or the place of the others says so: a guess is none.

    It is what it says in all, else what follows "gives" or "costs", else the object whose time, place or purpose holds
    the others (She needs 12 pizzas for 20 friends), else the only one behind a beginning that holds the others (In 3
    days, she reads 12 pages).
    """
    verbs, beginning = [m.end() for m in _COMES_TO.finditer(text)], _IN_ALL.match(text)
    if in_all := _TOLD_IN_ALL.search(text):
        value = _VALUE.search(text, in_all.start())
    elif verbs and verbs[-1] > first.start():
        value = _VALUE.search(text, verbs[-1])
    elif _OF_IT.match(text, first.end()) and not _NO_OBJECT.search(text[: first.start()]):
        value = first
    elif verbs:
        value = _VALUE.search(text, verbs[-1])
    else:
        value = _VALUE.search(text, beginning.end()) if beginning else None
        value = None if value is None or _VALUE.search(text, value.end()) else value
    return [formula(value[0])] if value and _stands_alone(text, value.start(), value.end()) else []


def _is_gold(value: str, gold: str) -> bool:
    one, other = read_shape(formula(unmarked(peel(gold)))).number, read_number(formula(value))
    return one is not None and other is not None and same_scaled(one, other)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a number among words, from `start` to `end`, is all that is said: no formula, bound or denial."""
    before = text[max(0, start - 80) : start]
    joined, short = _TWO_UNITS.match(text, end), _ABBREVIATION.match(text, end)
    if any(behind.match(text, end) for behind in (_SEVERAL, _MORE_THAN, _AND_A_PART, _CHANGED_BEHIND)):
        return False
    if _denied(text, start, end) or _BOUND.search(before) or _CHANGED_BEFORE.search(before):
        return False
    if not _BEFORE_VALUE.search(before) or (joined and _one_dimension(joined[1], joined[2])):
        return False
    if short and read_unit(short[1]) is not None:
        return True
    if short and (
        _VARIABLES.match(short[1]) or (short.end() - len(short[0].lstrip()) == end and not _AFFIX.match(short[1]))
    ):
        return False
    return _AFTER_VALUE.match(text, end) is not None


def _compound_of(gold: str, text: str, start: int) -> int | None:
    """Where an amount in several units ends that begins at `start`; None where the gold answer is none of its kind."""
    whole, unit = compound(text, start), read_shape(formula(unmarked(peel(gold)))).unit
    if whole is None or unit is None or whole[1].dimensions != unit.dimensions:
        return None
    return whole[2]


def _one_dimension(one: str, other: str) -> bool:
    units = read_unit(one), read_unit(other)
    return units[0] is not None and units[1] is not None and units[0].dimensions == units[1].dimensions


def _without_place(text: str) -> str:
    """What a sentence concludes, without the end that gives a reason or says where its value is taken.

    The minimum is 7, attained at x = 2. It has 3 sides, so its area is 12, since the base is 6.
    """
    hence = [m.end() for m in _HENCE.finditer(text)]
    text = text[hence[-1] :].strip() if hence else text
    reason = _REASON.search(text)
    if reason and _VALUE.search(text, 0, reason.start()):
        text = text[: reason.start()]
    place = _PLACE.search(text)
    if place is None or _EQUALS.search(text, place.end()):
        return text
    before = text[: place.start()]
    return before if _EQUALS.search(before) or _VALUE.match(before) else text


def _denied(text: str, start: int, end: int) -> bool:
    """Whether a number is said to be none: it is not 5, 5 is not the answer."""
    before = text[max(0, start - 40) : start]
    return bool(_NOT.search(before) or _IS_NOT.match(text, end))


def _run(pattern: re.Pattern[str], text: str) -> str | None:
    """The last marked part of a text, with those before it that only a comma, `and` or `or` holds apart."""
    matches = [match for match in pattern.finditer(text) if pattern is not _BOLD or not _is_label(match)]
    while len(matches) > 1 and _is_beside(text, matches[-2].end(), matches[-1].start()):
        matches.pop()
    if not matches:
        return None
    parts = [_inside(matches[-1])]
    for before, after in zip(matches[-2::-1], matches[:0:-1], strict=True):
        joint = _JOINED.fullmatch(text[before.end() : after.start()])
        if joint is None:
            break
        parts[:0] = [_inside(before), " or " if "or" in joint[0].lower() else ", "]
    return "".join(parts)


def _is_beside(text: str, start: int, end: int) -> bool:
    """Whether what stands between two marked parts says that the second is a condition of the first, or denied."""
    between = text[start:end]
    return _CLAUSE.match(between) is not None or _NOT.search(between) is not None


def _is_label(bold: re.Match[str]) -> bool:
    """Whether bold type is only what stands before an answer: **Vertex:** $(1, 2)$, **Therefore**, .."""
    inside = _inside(bold)
    if inside.endswith((":", "\uff1a")) or bold.string[bold.end() :].lstrip()[:1] in (":", "\uff1a"):
        return True
    return _LEADS.match(inside) is not None


def _inside(match: re.Match[str]) -> str:
    return next(part for part in match.groups() if part).strip()


def unmarked(text: str) -> str:
    """`text` without the delimiters of mathematics and the stars of bold type within it."""
    text = _BOLD.sub(_inside, text)
    return peel(_MARKED.sub(lambda m: f" {_inside(m)} ", text))
