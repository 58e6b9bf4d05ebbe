"""Names that somebody chose to do harm, and what must be true of what shows them."""

import re

NAMES = [
    "\x1b[31mred\x1b[2J\x07",
    "::error file=a::owned",
    "##[group]a",
    "a|b`c``d|",
    "@someone #1 org/repo#2 www.example.org",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\u202egnp.exe\u200b\u2066x",
    "two\nlines\r\n::warning::x",
    "$(touch owned) `touch owned` ; touch owned",
    "../../etc/passwd",
    "x" * 300,
    '=cmd|" /C calc"!A0',
    "[text](https://example.org) ![p](https://example.org/p.png)",
]
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]")


def assert_inert_in_terminal(lines: list[str]) -> None:
    for line in "\n".join(lines).split("\n"):
        assert not HIDDEN.search(line), line
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line, line


def assert_inert_in_markdown(text: str) -> None:
    """Outside of code nothing of a name is left: no element, link, picture, mention, reference or address."""
    assert not HIDDEN.search(text)
    outside = re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", text)
    outside = re.sub(r"<code>.*?</code>", "", outside)
    for active in ("<script", "<img", "@someone", "#1", "repo#2", "www.", "](https://example.org", "onerror"):
        assert active not in outside, outside
    for line in text.split("\n"):
        assert not line.startswith(("::", "##[")), line
