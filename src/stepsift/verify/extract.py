r"""The final answer of a response, before anyone asks whether it is right.

Only what follows the reasoning counts. The first of these that the answer holds is taken:

1. the last `\boxed{...}` whose braces balance, with those before it that only "and", "or" or a comma holds apart,
2. the last `<answer>...</answer>`,
3. what follows `####` on the last line (GSM8K),
4. what the last "answer is", "answer:", "answer =", "答案" or heading "Final answer" says: a code block, the rest of
   the line, or the next line if nothing follows, which may be a formula on lines of its own; and of "14 is the answer"
   what stands before; of a mathematical answer the first sentence with a digit or a formula,
5. the last line, or the block of code with which it all ends; of a mathematical answer the last sentence with a digit
   or a formula.

The search looks at the last TAIL_CHARS characters, so that a runaway response costs no more than another.
"""

import heapq
import re
from collections.abc import Iterator
from itertools import islice

from stepsift.core.text import CLOSE, OPEN

TAIL_CHARS = 20_000
LINE_CHARS = 2_000
"""Longest answer that is looked at."""

_BOXED = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?=[{\w\\$])")
_WORD_ANSWER = r"(?:answer|result|solution)"
_BE = (
    r"(?:is|are|was|be|becomes|equals|(?:comes?|works?|turns?)\s+out\s+(?:to\s+be|to|as|at)"
    r"|(?:would|should|must|will)\s+be)"
)
_PHRASE = re.compile(
    rf"\banswers?\b[*_`\"']*(?:\s+(?:to|for|of|in)\s[^.:=\n]{{1,80}}?)?[*_`]*"
    rf"(?:\s*(?:,\s*(?:then|therefore|thus|so),?\s*)?\b{_BE}\b(?:\s+(?:simply|just|therefore|thus|then|equal\s+to))?|\s*[:=\uff1a])"
    r"[:=\uff1a*_ \t]*"
    rf"|^\W*(?:the\s+)?final\s+(?:{_WORD_ANSWER}|choice)\b[*_`]*\s*(?:\bis\b|[:=\uff1a])[:*_ \t]*"
    r"|^\W*(?:final\s+)?answers?\W*\n"
    r"|^\W*(?:Ans|Final|Result|Solution)\s*[:=.\uff1a][:*_ \t]*(?=\S.{0,120}$)"
    r"|(?:\u7b54\u6848|\u7ed3\u679c)\s*(?:\u5e94\u8be5|\u5e94|\u5c31|\u4e3a|\u662f|[:=\uff1a])(?:\u4e3a|\u662f)?[\s*:\uff1a=]*|\u7b54[:\uff1a]\s*|\u6545\u9009[:\uff1a\s]*",
    re.IGNORECASE | re.MULTILINE,
)
_BEFORE = re.compile(
    r"(?:^|(?<=[.!?:]\s)|(?<=\bso\s)|(?<=\bthus\s)|(?<=\bhence\s)|(?<=\btherefore\s))([^\n.!?]{1,120}?)\s+is\s+"
    r"(?:the|our|my)\s+(?:final\s+|correct\s+)?answer\b",
    re.IGNORECASE | re.MULTILINE,
)
_TAGGED = re.compile(r"<answer>((?:(?!<answer>).){0,2000}?)</answer>", re.IGNORECASE | re.DOTALL)
_END_TOKEN = re.compile(
    r"<\|[^<>|\s]{1,60}\|>\Z|<\uff5c[^<>\uff5c]{1,60}\uff5c>\Z|</?(?:s|eos|pad|bos|end_of_turn|start_of_turn)>\Z|\[/?INST\]\Z",
    re.I,
)
_MATHS = re.compile(r"[\d$\\\u221e\u03c0\u221a\u2205]")
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*\\$])|(?<=\u3002)")
_MARKER = re.compile(
    r"\s*(?:[-*+\u2022\u2023\u25aa\u25e6\u25cf\u00b7\u2192\u27a4\u21d2\u2234]"
    r"|\d{1,2}[.)](?=\s+(?:\$|\\|-?\d|\*\*\$?-?\d|[a-z]\s*=)))\s+(?=\S)"
)
"""What opens an item of a list (- 17, 1. 42): no minus, and no part of the answer."""
_SUM = re.compile(r"-\s[\w^().]+(?:\s[-+]\s[\w^().]+)+\.?")
"""- 3x + 2, whose first sign may be a minus."""
_REMARK = re.compile(
    r"(?:(?:absolutely|definitely|indeed|also|therefore|thus|clearly|fully|now|both|very)\s+)*"
    r"(?:correct|right|exact|verified|confirmed|reasonable|consistent|valid|unique|helpful|unclear|different|accurate"
    r"|sensible|plausible|complete|done|expressed|rounded|independent|supported|positive|negative"
    r"|an?\s+(?:integer|number|fraction|whole)|in\s+(?:simplest|its|the\s+form|terms|units?|dollars|\\boxed))\b",
    re.IGNORECASE,
)
"""What a sentence says of an answer that stands elsewhere: This answer is exact."""
_NO_VALUE = re.compile(
    r"\W*(?:an?\s+)?(?:infinit|undefined|unknown|undetermined|indeterminate|not\b|no\b|none|nothing|never|zero|one\b|two\b"
    r"|three|four|five|six|seven|eight|nine|ten\b|eleven|twelve|half|impossible|wrong|incorrect|false|minus)",
    re.IGNORECASE,
)
"""An answer in words, for which no earlier number stands in."""
_DOUBTED = re.compile(
    r"\b(?:check|checking|verify|verifying|confirm|if|whether)\s+(?:that\s+)?(?:(?:the|this|that|our|my|your|final)\s+)*\Z",
    re.I,
)
"""Let me check the answer: .."""
_LAST_LINES = _BOXES = 50
_ANNOUNCEMENTS, _STATEMENTS = 200, 20
"""Lines with a keyword that are looked at from the end, and what is announced on them."""
_KEYWORDS = ("answer", "ans", "final", "result", "solution", "\u7b54", "\u7ed3\u679c", "\u6545\u9009")
_FENCE = re.compile(r"\s*```\w*\s*\n(.*?)\n?\s*```", re.DOTALL)
_DISPLAY = re.compile(r"\s*(\\\[.{1,2000}?\\\]|\$\$.{1,2000}?\$\$|\\begin\{(\w+\*?)\}.{1,2000}?\\end\{\2\})", re.DOTALL)
_JOINT = re.compile(r"[\s$*\\()]*(?:,|;|\band\b|\bor\b|\\text\{\s*(?:and|or)\s*\})+[\s$*\\()]*(?:[a-z]\s*=\s*)?")


def conclusion(response: str) -> str | None:
    """What a response says after its reasoning, without end tokens left in; None where it never gets there.

    In the one form of ingest reasoning opens the response and holds no tag, so that the first closing one ends it and a
    later one is a word of the answer. Where nothing opened it (a student whose template did), the last one does.
    """
    if response.startswith(OPEN):
        _, close, after = response.partition(CLOSE)
        if not close:
            return None
    else:
        after = response.rpartition(CLOSE)[2]
    return without_end_tokens(after[-TAIL_CHARS:]) or None


def without_end_tokens(text: str) -> str:
    """`text` without the tokens that end a turn (`<|im_end|>`, `</s>`) at its end."""
    while True:
        text = text.strip()
        # One token at a time and from the end: a pattern for all of them would try every place of a long run.
        match = _END_TOKEN.search(text, max(0, len(text) - 80))
        if match is None:
            return text
        text = text[: match.start()]


def final_answer(text: str, math: bool = False) -> str | None:
    """The final answer of a conclusion; None where it has none.

    It may be empty: an answer that was announced and is the empty text.
    """
    answer = boxed(text)
    if answer is not None:
        return answer[-LINE_CHARS:]
    inside = tagged(text)
    if inside is not None:
        return inside
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and "####" in lines[-1]:
        return lines[-1].rpartition("####")[2].lstrip("#").strip()[:LINE_CHARS]
    statement = announced(text, math)
    if statement is not None:
        return (telling(statement)[:1] or [statement])[0][:LINE_CHARS] if math else statement[:LINE_CHARS]
    block = _display_at_the_end(text) if math else _fence_at_the_end(text)
    if block:
        return block[:LINE_CHARS]
    if math:
        lines = [sentence for line in lines[-_LAST_LINES:] for sentence in telling(without_marker(line))]
    return lines[-1][-LINE_CHARS:] if lines else None


def _display_at_the_end(text: str) -> str | None:
    """A displayed formula on lines of its own with which a text ends, on one line; None where it ends with none."""
    tail = text[-LINE_CHARS:].rstrip().removesuffix(".").rstrip()
    opening = {"\\]": "\\[", "$$": "$$"}.get(tail[-2:])
    start = -1 if opening is None else tail.rfind(opening, 0, -2)
    block = tail[start:] if start >= 0 else ""
    return " ".join(block.split()) if "\n" in block else None


def _fence_at_the_end(text: str) -> str | None:
    """What stands in the block of code with which a text ends; None where it ends with none."""
    tail = text[-LINE_CHARS:].rstrip()
    start = tail.rfind("```", 0, -3) if tail.endswith("```") else -1
    fence = _FENCE.fullmatch(tail, start) if start >= 0 else None
    return fence[1].strip() if fence else None


def tagged(text: str) -> str | None:
    """What stands in the last <answer>...</answer>; None where there is none."""
    parts = _TAGGED.findall(text) if "</answer>" in text.lower() else []
    return parts[-1].strip() if parts else None


def telling(line: str) -> list[str]:
    """The sentences of a line that hold a digit or a formula."""
    return [sentence for sentence in SENTENCE.split(line[-TAIL_CHARS:]) if _MATHS.search(sentence)]


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...} with balanced braces, or of several that belong together."""
    matches = list(_BOXED.finditer(text))[-_BOXES:]
    parts: list[str] = []
    start = 0
    for match in reversed(matches):
        content, end = _content(text, match.end())
        if content is None:
            continue
        if not parts:
            parts, start = [content], match.start()
            continue
        gap = text[end:start]
        if len(gap) > 40 or _JOINT.fullmatch(gap) is None:
            break
        if content not in parts:
            parts.insert(0, content)
            parts.insert(1, " or " if "or" in gap else ", ")
        start = match.start()
    return "".join(parts).strip() if parts else None


def _content(text: str, start: int) -> tuple[str | None, int]:
    r"""(what stands in the braces, where they end); `\boxed 14` has none and holds what comes before the next blank."""
    if text[start] != "{":
        word = re.compile(r"\\[a-zA-Z]+(?:\{[^{}]*\})*|[^\s$\\{}]+").match(text, start)
        return (word[0].rstrip(".,;:"), word.end()) if word else (None, start)
    depth, escaped = 0, False
    for i in range(start, min(len(text), start + LINE_CHARS)):
        c = text[i]
        depth += 0 if escaped else (c == "{") - (c == "}")
        escaped = c == "\\" and not escaped
        if depth == 0:
            return text[start + 1 : i].strip(), i + 1
    return None, start


def without_marker(line: str) -> str:
    """A line without the mark of a list before it."""
    marker = _MARKER.match(line)
    return line[marker.end() :] if marker and not _SUM.fullmatch(line.strip()) else line


def last_match(pattern: re.Pattern[str], text: str, keywords: tuple[str, ...]) -> re.Match[str] | None:
    """The last match of a pattern that begins on a line with one of the keywords (in lower case)."""
    return next(_matches_from_the_end(pattern, text, keywords), None)


def _matches_from_the_end(pattern: re.Pattern[str], text: str, keywords: tuple[str, ...]) -> Iterator[re.Match[str]]:
    """Matches of a pattern that begin on a line with one of the keywords, the last one first.

    Lines are looked at from the end, so that a long text costs no more than its last announcements.
    """
    lower = text.lower()
    if len(lower) != len(text):
        # Some letters have two in lower case, so that places would not agree.
        yield from reversed(list(pattern.finditer(text)))
        return
    end = len(text)
    places = dict.fromkeys(keywords, end)
    for _ in range(_ANNOUNCEMENTS):
        # A word whose last place lies before the end is looked for once.
        places.update({word: lower.rfind(word, 0, end) for word, at in places.items() if at >= end})
        place = max(places.values())
        if place < 0:
            return
        start = text.rfind("\n", 0, place) + 1
        stop = text.find("\n", place)
        stop = len(text) if stop < 0 else stop
        # A pattern may look a little further than its line.
        yield from reversed([m for m in pattern.finditer(text, start, min(len(text), stop + 200)) if m.start() <= stop])
        end = start


def announced(text: str, math: bool = False) -> str | None:
    """What the last announcement of an answer says: a code block, a displayed formula, the line's rest or the next.

    A later remark on the answer is passed over, and where mathematics is looked for whatever holds none of it.
    """
    last = None
    for statement, doubted in islice(_statements(text), _STATEMENTS):
        if not doubted:
            if math and (telling(statement) or _NO_VALUE.match(statement)):
                return statement
            if not math and not _REMARK.match(statement):
                return statement
        last = statement if last is None else last
    return last


def _statements(text: str) -> Iterator[tuple[str, bool]]:
    """What is announced and whether it is only to be checked, the last one first."""
    phrases = _matches_from_the_end(_PHRASE, text, _KEYWORDS)
    before = _matches_from_the_end(_BEFORE, text, ("answer",))
    for match in heapq.merge(phrases, before, key=lambda m: (m.end(), m.re is _BEFORE), reverse=True):
        start = match.start()
        yield _said(text, match), _DOUBTED.search(text[max(0, start - 60) : start]) is not None


def _said(text: str, phrase: re.Match[str]) -> str:
    if phrase.re is _BEFORE:
        return phrase[1].strip()
    rest = text[phrase.end() :]
    fence = _FENCE.match(rest)
    if fence:
        return fence[1].strip()
    display = _DISPLAY.match(rest)
    if display:
        return " ".join(display[1].split())
    line, _, after = rest.partition("\n")
    if line.strip():
        return (without_marker(line) if phrase[0].endswith("\n") else line).strip()
    return without_marker(after.lstrip().partition("\n")[0]).strip()
