"""Where steps begin within a stretch of text that holds no think tag, before any limit on their length."""

import re
from typing import Literal, NamedTuple

from stepsift.segment import patterns as p
from stepsift.segment.sentences import ends_sentence

Unit = Literal["sentence", "line", "paragraph"]


class Pieces(NamedTuple):
    """Starts and kinds of the pieces in order; `protected` are the maths and inline code that no cut may enter."""

    starts: list[int]
    kinds: list[str]
    protected: list[tuple[int, int]]


def find_ends(text: str, start: int, end: int, unit: Unit) -> Pieces:
    """Cut `text[start:end]`, which begins and ends with a character that is not white space, into pieces.

    A piece after the first begins with the white space before it, where there is any.
    """
    scanner = _Scanner(text, start, end, unit)
    handlers = {
        "stop": scanner.stop,
        "wide": scanner.wide_stop,
        "begin": scanner.environment,
        "display": scanner.maths,
        "inline": scanner.maths,
        "round": scanner.maths,
        "square": scanner.maths,
        "ticks": scanner.inline_code,
    }
    search = p.EVENTS[unit].search
    event = p.FIRST_LINE.match(text, start, end)
    while event is not None:
        group = event.lastgroup or ""
        handler = handlers.get(group)
        pos = handler(event) if handler else scanner.line(event, group)
        event = search(text, pos, end)
    return Pieces(scanner.starts, scanner.kinds, scanner.protected)


class _Scanner:
    """What is known on the way through a stretch. Each method takes one event in and says where to go on.

    `begin` is the first character of the current piece that is not white space.
    """

    def __init__(self, text: str, start: int, end: int, unit: Unit):
        self.text, self.start, self.end, self.unit = text, start, end, unit
        self.starts, self.kinds = [start], ["text"]
        self.protected: list[tuple[int, int]] = []
        self.begin = start
        self.environments: dict[int, int] | None = None

    def _cut(self, at: int, begin: int) -> None:
        """A sentence begins within the block."""
        self.starts.append(at)
        self.kinds.append(self.kinds[-1])
        self.begin = begin

    def stop(self, event: re.Match[str]) -> int:
        """Terminators with white space behind them."""
        pos, following = event.end(), event.start("next")
        if not ends_sentence(self.text, self.begin, event.start(), following):
            return pos
        self._cut(pos, following)
        # The full stop of an enumerator, or of a label such as "Step 2.", ends nothing.
        number = None
        if self.text[following].isdigit() or self.text[following] == "(":
            number = p.NUMBERED.match(self.text, following, self.end)
        elif self.text[following] in p.LABEL_INITIALS:
            number = p.LABELLED.match(self.text, following, self.end)
        return number.end() if number else pos

    def wide_stop(self, event: re.Match[str]) -> int:
        """CJK terminators."""
        pos = event.end()
        if pos < self.end:
            self._cut(pos, after_space(self.text, pos, self.end))
        return pos

    def line(self, event: re.Match[str], kind: str) -> int:
        """White space with a line break in it, and how the next line begins."""
        text, at, pos = self.text, event.start(), event.end()
        begin = event.start(kind)
        cut = before_space(text, at)
        if cut <= self.starts[-1]:
            self.kinds[-1], self.begin = kind, begin
        elif (
            self.unit != "paragraph"
            or kind != "text"
            or self.kinds[-1] in ("table", "code")
            or p.BLANK_LINE.match(text, at, self.end)
        ):
            self.starts.append(cut)
            self.kinds.append(kind)
            self.begin = begin
        if kind == "code":
            return _fence_end(text, event.group(kind), pos, self.end)
        if kind == "table" and self.unit == "line":
            rows = [before_space(text, row.start()) for row in p.LINE_BREAK.finditer(text, begin, pos)]
            self.starts += rows
            self.kinds += [kind] * len(rows)
        return pos

    def inline_code(self, event: re.Match[str]) -> int:
        """Code between backticks within a line."""
        self.protected.append(event.span())
        return event.end()

    def environment(self, event: re.Match[str]) -> int:
        r"""A \begin{..}: maths to its \end{..}, nothing where that is missing."""
        if self.environments is None:
            self.environments = _environments(self.text, self.start, self.end)
        pos = self.environments.get(event.start())
        return event.end() if pos is None else self._formula(event.start(), pos)

    def maths(self, event: re.Match[str]) -> int:
        """Maths from its opening to its closing delimiter; a sentence may end with the formula."""
        pos = self._formula(event.start(), event.end())
        if self.unit == "sentence":
            stop = p.STOP_IN_MATHS.match(self.text, pos, self.end)
            if stop and self.text[stop.start("next")].isupper():
                self._cut(stop.end(), stop.start("next"))
                return stop.end()
        return pos

    def _formula(self, at: int, pos: int) -> int:
        self.protected.append((at, pos))
        if at == self.begin and p.ALONE_ON_LINE.match(self.text, pos, self.end):
            self.kinds[-1] = "math"
        return pos


def before_space(text: str, pos: int) -> int:
    """The end of the text before `pos`, without the white space between."""
    while pos and text[pos - 1].isspace():
        pos -= 1
    return pos


def after_space(text: str, pos: int, end: int) -> int:
    """The first character at or after `pos` that is not white space, or `end`."""
    match = p.NOT_WHITE_SPACE.search(text, pos, end)
    return match.start() if match else end


def _fence_end(text: str, opening: str, pos: int, end: int) -> int:
    """The end of the fenced block that `opening` begins: its closing fence, or `end` where there is none."""
    for closing in p.FENCE_END.finditer(text, pos, end):
        mark = closing.group("mark")
        if mark[0] == opening[0] and len(mark) >= len(opening):
            return closing.end("mark")
    return end


def _environments(text: str, start: int, end: int) -> dict[int, int]:
    r"""Start to end of every \begin{..} that has its \end{..}; a \begin{..} that is never ended is not in it."""
    ends: dict[int, int] = {}
    stack: list[tuple[str, int]] = []
    waiting: dict[str, int] = {}
    for tag in p.ENVIRONMENT.finditer(text, start, end):
        name = tag.group("name")
        if tag.group("end") is None:
            stack.append((name, tag.start()))
            waiting[name] = waiting.get(name, 0) + 1
        elif waiting.get(name):
            while True:
                opened, at = stack.pop()
                waiting[opened] -= 1
                if opened == name:
                    break
            ends[at] = tag.end()
    return ends
