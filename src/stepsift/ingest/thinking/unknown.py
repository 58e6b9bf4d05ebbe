"""Markup that no family of the table has: tokens that open or close most responses of a teacher.

It would be scored as text, and rank the teacher by its markup.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from stepsift.core import text
from stepsift.core.text import CLOSE, OPEN
from stepsift.verify import extract

FEWEST_RESPONSES = 4
"""Of a teacher, before its habits are spoken of."""
MOST = 0.5
FEWEST_REASONING = 10
"""Responses with reasoning, before those without it are called odd."""
ODD = 0.2
"""Share of responses without reasoning, of a teacher whose others have it, up to which they are odd."""
_THINKS = re.compile(
    r"(?:okay|ok|alright|all right|hmm+|wait|well|right),? |so,? (?:i|we|the|let)\b|let's see|let me (?:think|see|try)"
    r"|first,? i (?:need|should|have)|(?:we|i) need to|the user |\u55ef|\u597d\u7684|\u597d\uff0c",
    re.IGNORECASE,
)
"""How reasoning begins, and answers seldom do: on 11,000 real traces at most 1.5 % of a teacher without reasoning."""
_TITLE = re.compile(
    r"(?:#{1,6} |\*\*)?(?:thinking|thoughts?|reasoning|(?:thought|thinking|reasoning) process|chain of thought)"
    r"(?:\*\*|:|\.\.\.|…|(?=\n))[:*]*|<details(?=[^<>]{0,80}>\s{0,9}<summary>[^<>]{0,40}(?:thought|thinking|reasoning))",
    re.IGNORECASE,
)
"""How reasoning is named at the beginning of a response that nothing of the table marks: `Reasoning:`."""
_SHOWN_CHARS = 60
_LOOKED_AT = 200

_TOKEN = (
    r"<[|｜][^<>|｜\s][^<>|｜\n]{0,38}[|｜]>|<[|｜][^<>|｜\s]{1,38}>|<[^<>|｜\s/]{1,38}[|｜]>"
    r"|\[[|｜][^\[\]|｜\n]{1,38}[|｜]\]"
)
_NAME = r"[A-Za-z][\w:.-]{1,30}"
_OPENS = re.compile(rf"(?:({_TOKEN})|<({_NAME})>|\[({_NAME})\]|◁({_NAME})▷|\{{({_NAME})\}})")
_CLOSES = re.compile(rf"(?:({_TOKEN})|</({_NAME})>|\[/({_NAME})\]|◁/({_NAME})▷|\{{/({_NAME})\}})\s*\Z")
_FIRST, _LAST = frozenset("<[◁{"), frozenset(">]▷}")
"""Characters that what _OPENS and _CLOSES find begins and ends with."""
_HTML = frozenset(
    (
        *("a", "abbr", "article", "b", "blockquote", "body", "br", "caption", "center", "code", "col", "dd"),
        *("details", "div", "dl", "dt", "em", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("head", "header", "hr", "html", "i", "img", "kbd", "li", "main", "mark", "math", "nav", "ol", "p"),
        *("pre", "q", "s", "script", "section", "small", "span", "strong", "style", "sub", "summary", "sup"),
        *("svg", "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr", "u", "ul", "var", "video", "xml"),
    )
)


@dataclass
class _Teacher:
    responses: int = 0
    reasoning: int = 0
    bare_thoughts: int = 0
    """Responses without reasoning that begin as reasoning does and come to no answer."""
    bare_thought: str = ""
    """The first of them."""
    opens: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


class UnknownMarkup:
    """Counts responses, by teacher, that begin or end with something that looks like a special token."""

    def __init__(self) -> None:
        self._teachers: dict[str, _Teacher] = {}

    def note(self, teacher: str, response: str) -> None:
        """Look at a response in the one form: at its reasoning and at its answer."""
        counts = self._teachers.setdefault(teacher, _Teacher())
        counts.responses += 1
        counts.reasoning += response.startswith(OPEN)
        if _THINKS.match(response) and not _concludes(response):
            counts.bare_thoughts += 1
            counts.bare_thought = counts.bare_thought or response
        if not response.startswith(OPEN) and (title := _TITLE.match(response)):
            counts.opens[title[0]] += 1
            counts.examples.setdefault(title[0], response)
        _, _, answer = response.rpartition(CLOSE)
        for token in {*_opening(response), *(_opening(answer) if len(answer) < len(response) else ())}:
            counts.opens[token] += 1
            counts.examples.setdefault(token, response)
        for token in _closing(answer):
            counts.closes[token] += 1
            counts.examples.setdefault(token, response)

    def warnings(self) -> list[str]:
        """One sentence for each teacher and token with which most of its responses begin or end."""
        teachers = sorted(self._teachers.items())
        return [s for name, counts in teachers for s in (*_habits(name, counts), *_without_reasoning(name, counts))]


def _habits(name: str, counts: _Teacher) -> Iterator[str]:
    if counts.responses < FEWEST_RESPONSES:
        return
    told: set[str] = set()
    for verb, tokens in (("open", counts.opens), ("close", counts.closes)):
        for token, n in sorted(tokens.items()):
            # A pair is told once, by what opens.
            if n / counts.responses <= MOST or token.replace("/", "") in told:
                continue
            told.add(token)
            whose = f"{n / counts.responses:.0%} of {counts.responses:,} responses of {text.one_line(name, 60)}"
            yield (
                f"{whose} {verb} with {text.one_line(token)}, a markup that no family of docs/OWN_TRACES.md has: it is "
                "scored as text, so the teacher is ranked by it; take it off the source. For example: "
                f"{text.one_line(counts.examples[token], _SHOWN_CHARS)}"
            )


def _without_reasoning(name: str, counts: _Teacher) -> Iterator[str]:
    """Responses that may have been cut off in reasoning that their prompt had opened: they hold no marker at all.

    Where all of a teacher's responses are so, only how they begin speaks for it.
    """
    without = counts.responses - counts.reasoning
    if without and counts.reasoning >= FEWEST_REASONING and without / counts.responses <= ODD:
        yield (
            f"{without:,} of {counts.responses:,} responses of {text.one_line(name, 60)} hold no reasoning, all others "
            f"do: where the prompt opened it and {CLOSE} never came, they were cut off and are taken for answers; "
            "look at them, and put prompt_opens_thinking: true into the rule of their file where it is so"
        )
    if not counts.reasoning and without >= FEWEST_REASONING and counts.bare_thoughts > MOST * without:
        yield (
            f"{counts.bare_thoughts:,} of {counts.responses:,} responses of {text.one_line(name, 60)} begin as "
            f"reasoning does ('{text.one_line(counts.bare_thought, _SHOWN_CHARS)}'), and none holds a marker of it: "
            "all are taken for answers; if their prompts opened the reasoning, they were cut off before its end: put "
            "prompt_opens_thinking: true into the rule of their file"
        )


def _concludes(response: str) -> bool:
    """Whether a response ends with an answer that is marked as one: it was not cut off, whatever it begins with."""
    end = response[-_LOOKED_AT:]
    return "####" in end or extract.boxed(end) is not None or extract.announced(end) is not None


def _opening(response: str) -> Iterator[str]:
    """The token that a text begins with; a word in brackets counts where it is closed somewhere."""
    head = response.lstrip().removeprefix("<think>").lstrip()
    match = _OPENS.match(head) if head[:1] in _FIRST else None
    if match is None:
        return
    if match[1]:
        yield match[1]
        return
    name = next(word for word in match.groups()[1:] if word)
    closing = match[0][0] + "/" + match[0][1:]
    if name.lower() not in _HTML and closing in head:
        yield match[0]


def _closing(answer: str) -> Iterator[str]:
    """The token that a text ends with; a word in brackets counts where it is opened before."""
    near = answer[-_LOOKED_AT:].rstrip()
    match = _CLOSES.search(answer, max(0, len(answer) - _LOOKED_AT)) if near[-1:] in _LAST else None
    if match is None:
        return
    if match[1]:
        yield match[1]
        return
    name = next(word for word in match.groups()[1:] if word)
    opening = match[0].strip().replace("/", "", 1)
    if name.lower() not in _HTML and opening in answer:
        yield match[0].strip()
