r"""The final answer of a response, before anyone asks whether it is right.

Only what follows the reasoning counts. The first of these that the answer holds is taken:

1. the last `<answer>...</answer>` or `####` on the last line (GSM8K) behind all boxes,
2. the last `\boxed{...}` whose braces balance, with those before it that only "and", "or" or a comma holds apart (of
   an answer that is several values also names, lines and marks of lists); a box that shows where an answer is to stand
   is none; a whole number that is announced behind it takes its place,
3. what the last "answer is", "answer:", "answer =", "答案" or heading "Final answer" says: a code block, the rest of
   the line, or the next line if nothing follows, which may be a formula on lines of its own; and of "14 is the answer"
   what stands before; of a mathematical answer the first sentence with a digit or a formula. A remark on an answer
   ("this answer is exact") is none,
4. the last line, or the block of code with which it all ends; of a mathematical answer the last sentence with a digit
   or a formula, of one without digits also one of letters.

What a text takes back, and behind a box or without one what `asides` knows as no answer of its own, is passed over.

The search looks at the last TAIL_CHARS characters, so that a runaway response costs no more than another.
"""

import ast
import heapq
import json
import re
from collections.abc import Iterator
from itertools import islice

from stepsift.core.text import CLOSE, OPEN
from stepsift.verify.asides import (
    breaks_off,
    is_of_others,
    refuses,
    says_nothing_new,
    without_numbering,
    without_sections,
    without_withdrawn,
)
from stepsift.verify.layout import (
    DISPLAY,
    displays_on_one_line,
    items_on_one_line,
    one_line,
    without_marker,
    without_qed,
)

TAIL_CHARS = 20_000
LINE_CHARS = 2_000
"""Longest answer that is looked at."""

_EMPTY_BOX = re.compile(r"\\boxed\s*\{\s*\}")
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
    r"|^\W*(?:final\s+)?(?:answers?|result)\W*\n"
    r"|^\W*(?:Ans|Final|Result|Solution)\s*[:=.\uff1a][:*_ \t]*(?=\S.{0,120}$)"
    r"|(?:\u7b54\u6848|\u7ed3\u679c)\s*(?:\u5e94\u8be5|\u5e94|\u5c31|\u4e3a|\u662f|[:=\uff1a])(?:[\u4e3a\u662f](?=[\s*:\uff1a=]*[^\s*\u3002.]))?[\s*:\uff1a=]*|\u7b54[:\uff1a]\s*|\u6545\u9009[:\uff1a\s]*",
    re.IGNORECASE | re.MULTILINE,
)
_BEFORE = re.compile(
    r"(?:^|(?<=[.!?:]\s)|(?<=\bso\s)|(?<=\bthus\s)|(?<=\bhence\s)|(?<=\btherefore\s))([^\n.!?]{1,120}?)\s+is\s+"
    r"(?:the|our|my)\s+(?:final\s+|correct\s+)?answer\b",
    re.IGNORECASE | re.MULTILINE,
)
_TAGGED = re.compile(
    r"[<\[]answer[>\]]((?:(?![<\[]answer[>\]]).){0,2000}?)[<\[]/answer[>\]]", re.IGNORECASE | re.DOTALL
)
_END_TOKEN = re.compile(
    r"<\|[^<>|\s]{1,60}\|>\Z|<\uff5c[^<>\uff5c]{1,60}\uff5c>\Z|</?(?:s|eos|pad|bos|end_of_turn|start_of_turn)>\Z|\[/?INST\]\Z",
    re.I,
)
_MATHS = re.compile(r"[\d$\\\u221e\u03c0\u221a\u2205]")
_LETTERS = re.compile(
    r"[\u00b2\u00b3\u00b9\u2070-\u209c\u00bc-\u00be\u2150-\u215e\u1d43-\u1dbf\u02e3]|(?<![\u0370-\u03ff])[\u0391-\u03c9](?![\u0370-\u03ff])"
    r"|(?<![A-Za-z])[A-Za-z]\s*(?:[+*/^=<>\u2264\u2265\u00b7-]\s*){1,2}(?:[A-Za-z](?![A-Za-z])|\()"
    r"|(?<![A-Za-z])O\([A-Za-z]|\binfinity\b|\A\W*[A-Za-z]\W*\Z"
)
"""A formula without digits: x + y, v/t, O(n), \u03bb."""
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*\\$])|(?<=\u3002)")
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
_SUPPOSED = re.compile(r"\b(?:if|without|unless|had|suppose)\b", re.IGNORECASE)
"""Without the discount the answer would be .."""
_LAST_LINES = _BOXES = 50
_REFUSING_LINES = 3
_ANNOUNCEMENTS, _STATEMENTS = 200, 20
"""Lines with a keyword that are looked at from the end, and what is announced on them."""
_PHRASE_ABROAD = (
    "(?:[\u041e\u043e]\u0442\u0432\u0435\u0442|\\b(?:respuesta|r\u00e9ponse|antwort|resposta|risposta)"
    "|\uc815\ub2f5|\u7b54\u3048|\u6b63\u89e3)(?:\\s+(?:correcta?|corretta|correcte|final))?[*_]*\\s*"
    "(?:[:\uff1a]|(?:es|est|ist|\u00e9|\u00e8)\\b|\uc740|\ub294|\u306f)[*_ \\t]*(?=\\S)(?![^\\n]*\\d,\\d)"
)
"""As _PHRASE in other languages; whose decimal comma is left alone."""
_WRITES_COMMAS = re.compile(
    "[\u041e\u043e]\u0442\u0432\u0435\u0442|\\b(?:respuesta|r\u00e9ponse|antwort|resposta|risposta)\\b", re.IGNORECASE
)
"""Of these languages, those that write 3,5 and 1.234,56."""
_DECIMAL_COMMA = re.compile(
    r"(?<![\w.,(\[{}\u2212\u2013-])([-\u2212\u2013]?)(\d{1,3}(?:\.\d{3})+|\d+),(?:(?<=[^\d]0,)|(?!\d{3}(?!\d)))(\d+)(?!\d|,\d|\s*[)\]])"
)
"""12,000 may be twelve thousand; within brackets a comma may hold two ends apart."""
_DECIMAL_POINT = re.compile(r"(?<![\d.,])\d+\.(?!\d{3}(?!\d))\d")
_ANY_PHRASE = re.compile(f"{_PHRASE.pattern}|{_PHRASE_ABROAD}", re.IGNORECASE | re.MULTILINE)
KEYWORDS_ABROAD = (
    "\u043e\u0442\u0432\u0435\u0442",
    "respuesta",
    "r\u00e9ponse",
    "antwort",
    "resposta",
    "risposta",
    "\ub2f5",
    "\u7b54",
    "\u6b63\u89e3",
)
"""A word of those in other languages, in lower case."""
_LABELLED = re.compile(r"^\W*(?:output|label|returns?|prediction)[*_]*\s*[:=][*_ \t]*", re.IGNORECASE | re.MULTILINE)
_LABELS = ("output", "label", "return", "prediction")
_POLITE = re.compile("(?:\u3067\u3059|\uc785\ub2c8\ub2e4)[\u3002.]?\\Z")
_OBJECT = re.compile(r"\{\s*[\"']\w+[\"']\s*:")
_ANSWER_KEYS = ("answer", "final_answer", "finalAnswer", "output", "result", "choice", "answer_choice")
_KEYWORDS = ("answer", "ans", "final", "result", "solution", "\u7b54", "\u7ed3\u679c", "\u6545\u9009")
_FENCE = re.compile(r"\s*```\w*\s*\n(.*?)\n?\s*```", re.DOTALL)
_SHOWN = re.compile(
    r"\b(?:output|result|returns?|prints?|printed|answer)\b(?:(?!\bnot\b|n['\u2019]t)[^\n]){0,60}:[*_ \t]*\n"
    r"\s*```\w*[ \t]*\n(.*?)\n?[ \t]*```",
    re.IGNORECASE | re.DOTALL,
)
"""The output is: and a block of code."""
_PLACEHOLDER = re.compile(
    r"(?:\\text\s*\{)?\s*(?:(?:your|the|final)\s+)*(?:answer|result|letter|value|number)?\s*\}?|\.{3}|\\[lc]?dots|\?",
    re.I,
)
"""What a box holds that shows where an answer is to stand."""
_JOINT = re.compile(r"[\s$*\\()]*(?:,|;|\band\b|\bor\b|\\text\{\s*(?:and|or)\s*\})+[\s$*\\()]*(?:[a-z]\s*=\s*)?")
_WIDE_JOINT = re.compile(
    r"(?:[\s$*&,;.|\u2022-]|\\[()\[\],;!:]|\\\\|\\q?quad|\band\b|\bor\b|\balso\b|\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}"
    r"|\(?[a-h1-9][).]|[A-Za-z](?:_\{?\w\}?)?\s*=)*+"
)
"""What else may stand between the boxes of one answer that is several: names, ends of lines, marks of lists."""
_SEVERAL = re.compile(r"[,;]|\\(?:text|pm|mp|\{)|\b(?:or|and)\b")
_BARE = re.compile(r"[\s$*]*-?\d[\d,/]*[\s$*.]*")
_SO = re.compile(
    r"\A(?:so|thus|hence|therefore|then)\b[,:]?\s+(?=[A-Za-z](?:_\w+)?\s*(?:[=<>\u2264\u2265\u2208]|\\(?:le|ge|lt|gt|in))(?!.*\d,\d{3}))",
    re.I,
)
"""A word before a formula, which would be read as a part of it."""


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


def final_answer(text: str, math: bool = False, several: bool = False, digits: bool = True) -> str | None:
    """The final answer of a conclusion; None where it has none.

    It may be empty: an answer that was announced and is the empty text. Of the gold answer is known whether it is
    mathematics, whether it is `several` values and whether it holds `digits`.
    """
    if math:
        text = displays_on_one_line(without_qed(text))
        text = items_on_one_line(text) if several else _with_decimal_points(text)
    text = without_withdrawn(text)
    box, end = _last_box(text, several)
    later = text[end:] if box is not None else text
    marked = _marked(later)
    if marked is not None:
        return marked
    later = without_others(later)
    statement = (in_json(later) if math else None) or announced(later, math, sure=box is not None)
    if statement is not None and math:
        statement = _SO.sub("", (telling(statement)[:1] or [statement])[0])
    if box is not None:
        # A number that is announced behind a box is no part of a sentence on it.
        whole = statement is not None and math and not several and _BARE.fullmatch(statement)
        return statement if whole else box[-LINE_CHARS:]
    if statement is not None:
        return _POLITE.sub("", statement[:LINE_CHARS])
    return _last_sentence(later, digits) if math else _last_words(later)


def _with_decimal_points(text: str) -> str:
    """A text that announces its answer in a language with decimal commas, with points in their place."""
    if not _WRITES_COMMAS.search(text) or _DECIMAL_POINT.search(text):
        return text
    return _DECIMAL_COMMA.sub(lambda m: f"{m[1]}{m[2].replace('.', '')}.{m[3]}", text)


def _marked(text: str) -> str | None:
    """What stands in the last <answer>, or behind #### on the last line."""
    inside = tagged(text)
    last = text.rstrip().rpartition("\n")[2]
    if inside is None and "####" in last:
        behind = last.rpartition("####")[2].lstrip("#").strip()[:LINE_CHARS]
        return behind if without_numbering(behind).strip(" *:.") or not behind else None
    return inside


def _last_sentence(text: str, digits: bool) -> str | None:
    """The last sentence with a digit or a formula; where it needs no digit, or none has one, a formula of letters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()][-_LAST_LINES:]
    own = [without_marker(line) for line in without_sections(lines)]
    said = [sentence for line in own for sentence in _sentences(line) if not says_nothing_new(sentence)]
    found = [sentence for sentence in said if _tells(sentence)] if digits else []
    if not found:
        found = [sentence for sentence in said if _tells(sentence) or _is_of_letters(sentence)]
    if not found or breaks_off(_sentences(without_marker(lines[-1]))[-1], found[-1]):
        return None
    if any(map(refuses, lines[-_REFUSING_LINES:])):
        return None
    return _SO.sub("", found[-1])[-LINE_CHARS:]


def _is_of_letters(sentence: str) -> bool:
    return _LETTERS.search(sentence) is not None


def _last_words(text: str) -> str | None:
    """The last line, or the block of code with which it all ends."""
    block = _fence_at_the_end(text)
    if block:
        return block[:LINE_CHARS]
    last = text.rstrip().rpartition("\n")[2].strip()
    label = last_match(_LABELLED, text, _LABELS)
    if label is not None and ("\n" not in text[label.end() :].rstrip() or _FENCE.match(text, label.end())):
        return _said(text, label)[:LINE_CHARS]
    return "" if _EMPTY_BOX.search(last) else last[-LINE_CHARS:] or None


def _fence_at_the_end(text: str) -> str | None:
    """What stands in the block of code with which a text ends; None where it ends with none."""
    tail = text[-LINE_CHARS:].rstrip()
    start = tail.rfind("```", 0, -3) if tail.endswith("```") else -1
    fence = _FENCE.fullmatch(tail, start) if start >= 0 else None
    return fence[1].strip() if fence else None


def shown(text: str) -> str | None:
    """What stands in the only block of code of a text, which a line before it calls its output; else None."""
    block = _SHOWN.search(text) if text.count("```") == 2 else None
    return block[1].strip() if block else None


def tagged(text: str) -> str | None:
    """What stands in the last <answer>...</answer>; None where there is none."""
    parts = _TAGGED.findall(text) if "/answer" in text.lower() else []
    return parts[-1].strip() if parts else None


def in_json(text: str) -> str | None:
    """The answer in an object of JSON or Python with which a text ends: {"answer": 42}; None where there is none."""
    tail = text[-LINE_CHARS:].rstrip().removesuffix("```").rstrip()
    start = _OBJECT.search(tail) if tail.endswith("}") else None
    for read in (json.loads, ast.literal_eval) if start else ():
        try:
            fields = read(tail[start.start() :] if start else "")
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        value = next((fields[key] for key in _ANSWER_KEYS if key in fields), None) if isinstance(fields, dict) else None
        return None if value is None else str(value)
    return None


def telling(line: str) -> list[str]:
    """The sentences of a line that hold a digit or a formula."""
    return [sentence for sentence in _sentences(line) if _tells(sentence)]


def _tells(sentence: str) -> bool:
    return _MATHS.search(without_numbering(sentence)) is not None


def _sentences(line: str) -> list[str]:
    return [line] if DISPLAY.fullmatch(line) else SENTENCE.split(line[-TAIL_CHARS:])


def without_others(text: str) -> str:
    """A text without its sentences on the answers of others, on wrong ones and on those of other questions."""
    if not is_of_others(text):
        return text
    kept = ([s for s in _sentences(line) if "\\boxed" in s or not is_of_others(s)] for line in text.splitlines())
    return "\n".join(map(" ".join, kept))


def boxed(text: str) -> str | None:
    r"""The content of the last \boxed{...} with balanced braces, or of several that belong together."""
    return _last_box(text, several=False)[0]


def _last_box(text: str, several: bool) -> tuple[str | None, int]:
    """What `boxed` gives, and where its last box ends; of an answer that is several, more may stand between boxes."""
    boxes = [(match.start(), *_content(text, match.end())) for match in list(_BOXED.finditer(text))[-_BOXES:]]
    filled = [(start, content, end) for start, content, end in boxes if content]
    filled = [box for box in filled if not _PLACEHOLDER.fullmatch(box[1])] or filled
    if not filled:
        return None, 0
    start, last, last_end = filled[-1]
    wide = several and not _SEVERAL.search(last)
    parts = [last]
    for before, content, end in filled[-2::-1]:
        gap = text[end:start]
        joint = len(gap) <= 40 and _JOINT.fullmatch(gap)
        if not joint and not (wide and len(gap) <= 60 and _WIDE_JOINT.fullmatch(gap)):
            break
        if content not in parts:
            parts[:0] = [content, " or " if "or" in gap else ", "]
        start = before
    return "".join(parts).strip(), last_end


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


def announced(text: str, math: bool = False, sure: bool = False) -> str | None:
    """What the last announcement of an answer says: a code block, a displayed formula, the line's rest or the next.

    A later remark on the answer is passed over, and where mathematics is looked for whatever holds none of it. Where
    there is nothing else, the last of these counts, unless the announcement has to be `sure`.
    """
    last = None
    for statement, doubted in islice(_statements(text), _STATEMENTS):
        if not doubted:
            if math and (telling(statement) or _NO_VALUE.match(statement)):
                return statement
            if not math and not _REMARK.match(statement):
                return statement
        last = statement if last is None else last
    return None if sure else last


def _statements(text: str) -> Iterator[tuple[str, bool]]:
    """What is announced and whether it is only to be checked or supposed, the last one first."""
    phrases = _matches_from_the_end(_ANY_PHRASE, text, (*_KEYWORDS, *KEYWORDS_ABROAD))
    named_before = _matches_from_the_end(_BEFORE, text, ("answer",))
    for match in heapq.merge(phrases, named_before, key=lambda m: (m.end(), m.re is _BEFORE), reverse=True):
        start = match.start()
        before = text[max(0, start - 160) : start].rpartition("\n")[2]
        supposed = "would" in match[0] and _SUPPOSED.search(SENTENCE.split(before)[-1])
        yield _said(text, match), bool(supposed or _DOUBTED.search(before[-60:]))


def _said(text: str, phrase: re.Match[str]) -> str:
    if phrase.re is _BEFORE:
        return phrase[1].strip()
    rest = text[phrase.end() :]
    fence = _FENCE.match(rest)
    if fence:
        return fence[1].strip()
    display = DISPLAY.match(rest)
    if display:
        return one_line(display[1])
    line, _, after = rest.partition("\n")
    if line.strip():
        return (without_marker(line) if phrase[0].endswith("\n") else line).strip()
    return without_marker(after.lstrip().partition("\n")[0]).strip()
