"""What the splitter looks for: one master pattern a unit, found with `search` from event to event.

Every repeat is possessive and every alternative that can fail is stopped by its own opener or guarded by a
look-behind, so that no character is looked at more than a fixed number of times, whatever the text.
"""

import re

BREAKS = r"\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
"""Characters that end a line: those of `str.splitlines`."""
BREAK = rf"(?>\r\n|[{BREAKS}])"
SPACE = rf"[^\S{BREAKS}]"
"""White space within a line."""
NOT_BLANK = rf"(?!{SPACE}*+[{BREAKS}])"

TERMINATORS = r".!?…؟۔।॥።፧։။។៕"
WIDE = "。！？；｡"
"""CJK terminators: they end a sentence without white space after them."""
_WIDE_POINT = r"(?<=．)(?<![\dA-Za-zＡ-Ｚａ-ｚ]．)"
"""The full stop of Japanese mathematics, but not that of a decimal or of an enumerator: ３．５, Ａ．"""
CLOSERS = r"""\"'”’»›)\]}*_`」』）】》〉"""

ENUMERATOR = r"(?:\(?(?:\d{1,3}(?:\.\d{1,2})*+|[A-Za-z]|[ivxIVX]{1,4})[.)])"
_LABELS = "Step|Case|Part|Problem|Question|Exercise|Example|Lemma|Theorem|Claim|Section|Chapter|Method|Approach"
_LABEL = rf"(?:(?:{_LABELS}){SPACE}\w{{1,3}}[.)])"
_NUMBER = rf"(?:[*_]{{0,3}}(?:{ENUMERATOR}|{_LABEL})(?=[\s*_]))"
# A row that ends with a bar, or one above a delimiter row: lines such as "|A| = 3" are no table.
_HEAD_ROW = (
    rf"\|(?:(?:[^|{BREAKS}]*+\|)++{SPACE}*+"
    rf"|[^{BREAKS}]*+(?={BREAK}{SPACE}*+\|(?:{SPACE}|:)*+-(?:{SPACE}|[-:|])*+(?:[{BREAKS}]|\Z)))"
)

# How a line begins. The name of the group is the kind of the block.
_LINE = rf"""
    (?P<code>(?:`{{3,}}+(?=[^`{BREAKS}]*+(?:[{BREAKS}]|\Z))|~{{3,}}+))
  | (?P<table>{_HEAD_ROW}(?:{BREAK}{SPACE}*+\|[^{BREAKS}]*+)++)
  | (?P<heading>\#{{1,6}}{SPACE}++{_NUMBER}?+)
  | (?P<list>(?:[-*+•‣◦▪–]{SPACE}++(?:{ENUMERATOR}(?=\s))?+|[*_]{{0,3}}{ENUMERATOR}(?=[\s*_])))
  | (?P<text>(?:[*_]{{0,3}}{_LABEL}(?=[\s*_]))?+)
"""

# TeX forbids a blank line within maths, which also bounds what an unbalanced delimiter can reach.
_DOLLAR_BODY = rf"[^$\\{BREAKS}]*+(?:(?:\\[^{BREAKS}]?+|{BREAK}{NOT_BLANK})[^$\\{BREAKS}]*+)*+"
_MATHS = rf"""
    (?<=\$)(?<!\\\$)(?:
        (?P<display>\$(?:[^$\\{BREAKS}]++|\\[^{BREAKS}]?+|{BREAK}{NOT_BLANK}|\$(?!\$))*+\$\$)
      | (?P<inline>(?=[^\s$]){_DOLLAR_BODY}(?<=\S)\$(?!\d)
                 | (?<![\w$]\$)(?=\s){_DOLLAR_BODY}(?<=\s)\$(?![\w$])))
  | (?<=\\)(?<!\\\\)(?:
        (?P<round>\((?:[^\\{BREAKS}]++|\\[^()\[\]{BREAKS}]|\\(?=[{BREAKS}])|{BREAK}{NOT_BLANK})*+\\\))
      | (?P<square>\[(?:[^\\{BREAKS}]++|\\[^\[\]{BREAKS}]|\\(?=[{BREAKS}])|{BREAK}{NOT_BLANK})*+\\\])
      | (?P<begin>begin\{{))
  | (?<=`)(?<!``)(?P<ticks>(?P<more>`*+)[^`{BREAKS}]++`(?P=more)(?!`))
"""

_STOPS = rf"""
    (?<=[{TERMINATORS}])(?<![{TERMINATORS}]{{2}})
        (?P<stop>[{TERMINATORS}]*+[{CLOSERS}]*+(?={SPACE}++(?P<next>\S)))
  | (?:(?<=[{WIDE}])|{_WIDE_POINT})(?P<wide>[{WIDE}．{TERMINATORS}]*+[{CLOSERS}]*+)
"""


def _events(first: str, *alternatives: str) -> re.Pattern[str]:
    """A leading character class lets `re` skip to the next candidate without entering the matcher."""
    return re.compile(rf"[{first}](?:{'|'.join(alternatives)})", re.VERBOSE)


_NEW_LINE = rf"(?<=[{BREAKS}])\s*+(?:{_LINE})"
_COARSE = _events(rf"{BREAKS}$\\`", _NEW_LINE, _MATHS)
EVENTS = {
    "sentence": _events(rf"{BREAKS}$\\`{TERMINATORS}{WIDE}．", _STOPS, _NEW_LINE, _MATHS),
    "line": _COARSE,
    "paragraph": _COARSE,
}
FIRST_LINE = re.compile(_LINE, re.VERBOSE)
BLANK_LINE = re.compile(rf"{BREAK}{SPACE}*+[{BREAKS}]")
LINE_BREAK = re.compile(rf"[{BREAKS}]")
FENCE_END = re.compile(rf"[{BREAKS}]{SPACE}*+(?P<mark>`{{3,}}+|~{{3,}}+){SPACE}*+(?=[{BREAKS}]|\Z)")
ENVIRONMENT = re.compile(r"\\(?:begin|(?P<end>end))\{(?P<name>[A-Za-z]{1,20}\*?)\}")
STOP_IN_MATHS = re.compile(rf"(?:(?<=[.?!]\$)|(?<=[.?!]\$\$)|(?<=[.?!]\\[)\]]))[{CLOSERS}]*+(?={SPACE}++(?P<next>\S))")
ALONE_ON_LINE = re.compile(rf"(?:{SPACE}|[.,;:])*+(?:[{BREAKS}]|\Z)")
NUMBERED = re.compile(rf"{ENUMERATOR}(?=\s)")
LABELLED = re.compile(rf"{_LABEL}(?=\s)")
LABEL_INITIALS = frozenset(label[0] for label in _LABELS.split("|"))
TAG = re.compile(r"</?think>")
WHITE_SPACE_RUN = re.compile(r"\s++")
NOT_WHITE_SPACE = re.compile(r"\S")
