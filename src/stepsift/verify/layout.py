r"""What belongs together stands on one line: displayed formulas, the last row of a derivation, the items of a list."""

import re

TAIL_CHARS = 4_000
"""Only the end of a text is looked at, from a paragraph on."""

DISPLAY = re.compile(r"\s*(\\\[.{1,2000}?\\\]|\$\$.{1,2000}?\$\$|\\begin\{(\w+\*?)\}.{1,2000}?\\end\{\2\})", re.DOTALL)
_ROWS = re.compile(
    r"\\(?:begin|end)\{(?:align|aligned|alignat|alignedat|gather|gathered|split|eqnarray|equation|multline)\*?\}(?:\{\d\})?"
)
_INNER = re.compile(r"\\begin\{")
_NEW_ROW = re.compile(r"\\\\(?:\[[^\[\]]{1,20}\])?")
_EQUAL_TO, _ABOUT = re.compile(r"\s*="), re.compile(r"\s*\\(?:approx|simeq|thickapprox)(?![a-zA-Z])")
_QED = re.compile(
    r"\s*(?:(?P<dollars>\$\$?)\s*\\(?:blacksquare|square|qed|Box|QED)\s*(?P=dollars)|\\\(\s*\\(?:blacksquare|square|qed)\s*\\\)"
    r"|[\u25a0\u25a1\u220e])[\s.]*\Z"
)
_MARKER = re.compile(
    r"\s*(?:[-*+\u2022\u2023\u25aa\u25e6\u25cf\u00b7\u2192\u27a4\u21d2\u2234]"
    r"|\d{1,2}[.)](?=\s+(?:\$|\\|-?\d|\*\*\$?-?\d|[a-z]\s*=)))\s+(?=\S)"
)
"""What opens an item of a list (- 17, 1. 42): no minus, and no part of the answer."""
_SUM = re.compile(r"-\s[\w^().]+(?:\s[-+]\s[\w^().]+)+\.?")
"""- 3x + 2, whose first sign may be a minus."""
_ITEM = re.compile(
    r"(?:\$\$?|\\\(|\\\[)?\s*(?:[A-Za-z](?:_\{?\w{1,3}\}?)?\s*=\s*)?(\([^()=<>\n$]{1,60}\)|[^=<>\n,;$\u2264\u2265]{1,60}?)\s*(?:\$\$?|\\\)|\\\])?"
)
_NO_ITEM = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]{3,}|\\(?:pm|in|le|ge|ne)(?![a-z])|\b(?:or|and|is|we|so|of|to)\b|\u00b1|\\\{"
)
"""Words, and a value that is several."""


def without_marker(line: str) -> str:
    """A line without the mark of a list before it."""
    marker = _MARKER.match(line)
    return line[marker.end() :] if marker and not _SUM.fullmatch(line.strip()) else line


def without_qed(text: str) -> str:
    """A text without the sign that ends a proof."""
    return _QED.sub("", text[-80:]) if len(text) <= 80 else text[:-80] + _QED.sub("", text[-80:])


def displays_on_one_line(text: str) -> str:
    """A text whose last displayed formulas stand on a line each."""
    start = text.find("\n\n", len(text) - TAIL_CHARS) if len(text) > TAIL_CHARS else 0
    return text[:start] + DISPLAY.sub(_on_a_line, text[start:]) if start >= 0 else text


def _on_a_line(match: re.Match[str]) -> str:
    return f"\n{one_line(match[1])}\n" if "\n" in match[1] or _ROWS.search(match[1]) else match[0]


def one_line(display: str) -> str:
    """A displayed formula on one line; of rows that are aligned what the last one comes to."""
    rows = _ROWS.sub("", display)
    if rows == display or _INNER.search(rows):
        return " ".join(display.split())
    inside = rows.strip().strip("$").removeprefix("\\[").removesuffix("\\]")
    lines = [" ".join(" ".join(row.split("&")).split()) for row in _NEW_ROW.split(inside)]
    lines = [line for line in lines if line]
    about = lines.pop() if len(lines) > 1 and _ABOUT.match(lines[-1]) else ""
    last = _EQUAL_TO.sub("", lines[-1], count=1) if lines and _EQUAL_TO.match(lines[-1]) else "".join(lines[-1:])
    return f"${f'{last} {about}'.strip().rstrip('.,; ')}$"


def items_on_one_line(text: str) -> str:
    """A text in which values that stand on lines of their own, one after the other, stand on one: x = 2, y = 5."""
    lines: list[str] = []
    items: list[str] = []
    for line in [*text.splitlines(), "end of text"]:
        item = without_marker(line).strip().strip("*").rstrip(".,;").strip("*").strip()
        value = _ITEM.fullmatch(item) if 0 < len(item) <= 80 else None
        if value is not None and not _NO_ITEM.search(value[1]) and any(map(str.isalnum, item)):
            items.append(item)
            lines.append(line)
        elif item:
            if len(items) > 1:
                lines[-len(items) :] = [", ".join(items)]
            items = []
            lines.append(line)
    return "\n".join(lines[:-1])
