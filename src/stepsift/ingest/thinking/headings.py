"""Reasoning under a title, and the answer under another: `## Thinking`, `## Final Response`.

A title is a heading of Markdown or words in bold. The response begins with the first, and both are written alike.
"""

import re

_THINKING = r"thinking(?: process)?"
_REASONING = r"thoughts?|thought process|reasoning(?: process)?|chain of thought"
_ANSWER = r"(?:final )?(?:response|answer)"
_LINE_END = r"[ \t\r]*+(?:\n|\Z)"


def _heading(level: str, words: str) -> str:
    return rf"{level}[ \t]++(?:\*\*)?+(?:{words})[:*]*+{_LINE_END}"


def _bold(words: str) -> str:
    """In bold, text may stand behind the colon."""
    return rf"\*\*(?:{words})(?::\*\*|\*\*:|\*\*{_LINE_END})"


_IN_HEADING = _heading(r"(?P<level>#{1,6})", rf"(?P<thinking>{_THINKING})|{_REASONING}")
_OPENING = re.compile(f"{_IN_HEADING}|{_bold(f'{_THINKING}|{_REASONING}')}", re.IGNORECASE)
_IN_BOLD = re.compile(f"^{_bold(_ANSWER)}", re.IGNORECASE | re.MULTILINE)
_UNDER = {
    level: re.compile(f"^{_heading('#' * level, _ANSWER)}", re.IGNORECASE | re.MULTILINE) for level in range(1, 7)
}
_ANY = {level: re.compile(rf"^#{{1,{level}}}[ \t]", re.MULTILINE) for level in range(1, 7)}


def split(text: str) -> tuple[str, str | None] | None:
    """(reasoning, answer) of a response that begins with a title of reasoning; no answer where it was cut off.

    None where it is not written so: a title alone may be one of many of a plain answer. Reasoning was cut off only
    under a heading such as `## Thinking` that no other of its level follows.
    """
    opening = _OPENING.match(text) if text[:1] in ("#", "*") else None
    if opening is None:
        return None
    level, start = len(opening["level"] or ""), opening.end()
    fences, counted = 0, start
    for closing in (_UNDER[level] if level else _IN_BOLD).finditer(text, start):
        fences += text.count("```", counted, closing.start())
        counted = closing.start()
        if fences % 2 == 0:
            reasoning, answer = text[start : closing.start()].strip(), text[closing.end() :].strip()
            return (reasoning, answer) if reasoning else None
    is_cut_off = level > 1 and opening["thinking"] and not _ANY[level].search(text, start)
    return (text[start:].strip(), None) if is_cut_off else None
