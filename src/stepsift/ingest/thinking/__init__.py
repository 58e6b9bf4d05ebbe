"""One form for reasoning, whoever wrote it and however its publisher stored it.

The form, which is what R1, QwQ and Qwen 3 write themselves:

    <think>
    reasoning, without white space around it
    </think>

    answer, without white space around it

- No reasoning, or an empty block: the answer alone. No answer: nothing after `</think>`.
- Reasoning that never ends keeps its `<think>` and has no `</think>`: the trace was cut off.
- families.py has the ways in which families of models mark their reasoning; channels.py reads messages to channels,
  headings.py titles (`## Thinking`), where a response has no reasoning that is marked in any other way.
- All before the last closing marker of a response's family is reasoning: templates like R1's open the block in the
  prompt, so a lone `</think>` ends one. A marker between quotation marks, within a sentence, or in the code of a fenced
  block of the answer is text.
- Of several blocks one is made: tags within the reasoning are taken out, and text between two blocks belongs to it. A
  block that opens right after another and never ends makes the reasoning one that never ends.
- Reasoning beside the content is used where the content holds no block of its own.
- A response has no white space around it, and no token that opens or ends its turn (turns.py). Everything else stays
  as it is: taking the form twice changes nothing.
"""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from stepsift.core.text import CLOSE, OPEN
from stepsift.ingest.thinking import channels, headings, tags
from stepsift.ingest.thinking.families import FAMILIES, TAGGED
from stepsift.ingest.thinking.turns import bare, first_turn

_CLOSES = {opening.lower(): closing for f in FAMILIES for opening, closing in f.answer if closing}
"""Markers around an answer."""


def _one_of(markers: Iterable[str]) -> str:
    return "|".join(re.escape(marker) for marker in sorted(set(markers), key=len, reverse=True))


_AN_OPENING = re.compile(_one_of(_CLOSES), re.IGNORECASE)
_OPENING = re.compile(
    rf"(?:{_one_of(_CLOSES)})(?:\s*(?:{_one_of(_CLOSES)}|{_one_of(_CLOSES.values())}))*\s*", re.IGNORECASE
)
_FIRST = {marker[0] for marker in _CLOSES}
"""Characters that a marker around an answer begins with; none is a letter."""
_CLOSING = re.compile(rf"\s*(?:{_one_of(_CLOSES.values())})\s*\Z", re.IGNORECASE)
_MOST_WRAPPER_CHARS = 100
_MOST_ROUNDS = 8
_ELEMENTS = frozenset(n for n, f in enumerate(TAGGED) if all(m.startswith("</") and ":" not in m for m in f.closes))
"""Places in TAGGED of the families whose markers are elements such as `<think>`."""
_THINK = 0
"""Place in TAGGED of the family whose form is the one form."""


@dataclass(frozen=True)
class Parts:
    """A response, taken apart. `finished` is False where the reasoning never ends."""

    reasoning: str
    answer: str
    finished: bool = True


def take_apart(response: str, beside: str | None = None) -> Parts:
    """Reasoning and answer of a response, `beside` being reasoning that the source keeps in a field of its own."""
    response = first_turn(response)
    parts = _inline(response)
    if beside is not None and not parts.reasoning and parts.finished:
        reasoning = _of_a_field(beside)
        if reasoning and response.strip():
            parts = _followed(reasoning, parts.answer)
        elif reasoning:
            parts = Parts(reasoning, "", finished=False)
    # An answer in which tags of the form are left, and the end of what was cut off, may be read differently once they
    # stand in the form.
    for _ in range(_MOST_ROUNDS):
        parts = _of_headings(parts)
        if parts.finished and not _has_tag_of_the_form(parts.answer):
            break
        parts, before = _inline(put_together(parts)), parts
        if parts == before:
            break
    return parts


def cut_off(parts: Parts, response: str) -> Parts:
    """The parts of a response whose prompt had opened the reasoning: without an end marker, all of it is reasoning."""
    if parts.reasoning or not parts.finished or any(tag.closing for tag in tags.find(response)):
        return parts
    return Parts(_without_tags(parts.answer), "", finished=not parts.answer)


def _has_tag_of_the_form(answer: str) -> bool:
    return "think" in answer.lower() and any(tag.family == _THINK for tag in tags.find(answer))


def put_together(parts: Parts) -> str:
    """The one form."""
    if not parts.finished:
        return f"{OPEN}\n{parts.reasoning}"
    if not parts.reasoning:
        return parts.answer
    return f"{OPEN}\n{parts.reasoning}\n{CLOSE}" + (f"\n\n{parts.answer}" if parts.answer else "")


def _inline(response: str) -> Parts:
    """The parts of a response whose reasoning, if any, stands in it."""
    text = response
    # An empty block may stand before another one.
    for _ in range(_MOST_ROUNDS):
        text = bare(text)
        said = channels.messages(text)
        parts = _of_channels(said) if said is not None else _of_tags(text)
        if parts.reasoning or not parts.finished or parts.answer == text:
            return parts
        text = parts.answer
    return Parts("", text)


def _of_channels(said: list[channels.Message]) -> Parts:
    reasoning, answer = channels.split(said)
    reasoning = _without_tags(reasoning)
    return _followed(reasoning, _answer(answer)) if answer else Parts(reasoning, "", finished=not reasoning)


def _of_headings(parts: Parts) -> Parts:
    """The parts of a response without reasoning in which it stands under a title."""
    titled = headings.split(parts.answer) if parts.finished and not parts.reasoning else None
    reasoning = _without_tags(titled[0]) if titled else ""
    if titled is None or not reasoning:
        return parts
    return Parts(reasoning, "", finished=False) if titled[1] is None else _followed(reasoning, _answer(titled[1]))


def _of_tags(text: str) -> Parts:
    found = tags.find(text)
    if not found:
        return Parts("", _answer(text))
    fences = tags.Fences(text)
    family = _family(text, found, fences)
    if family is None:
        return Parts("", _answer(text))
    own = [tag for tag in found if tag.family == family]
    end = _end(text, own, fences)
    if end is None and (end := _end_of_another(text, found, fences)):
        own = [tag for tag in found if tag.family in (family, end.family)]
    if end is None:
        rest = _without_tags(text, own)
        return Parts(rest, "", finished=not rest)
    before = [tag for tag in own if tag.start <= end.start]
    return _followed(_without_tags(text[: end.end], before), _answer(text[end.end :]))


def _family(text: str, found: list[tags.Tag], fences: tags.Fences) -> int | None:
    """The family that a text's reasoning is marked by: its first marker that is no mere word of the text says it."""
    if found and found[0].start == 0 and not found[0].closing:
        return found[0].family
    closed = {tag.family for tag in found if tag.closing}
    opens: dict[int, list[int]] = {}
    for tag in found:
        if tag.family not in closed or tags.is_quoted(text, tag):
            continue
        if not tag.closing:
            opens.setdefault(tag.family, []).append(tag.start)
        elif not tags.is_a_word(text, tag) and not fences.hold(tag, 0, opens.get(tag.family, [])):
            # An element of XML in the midst of a text is none of reasoning, unless it begins a line.
            before = opens.get(tag.family)
            if tag.family == _THINK or not before or any(text[at - 1] == "\n" for at in before):
                return tag.family
    return None


def _end(text: str, own: list[tags.Tag], fences: tags.Fences) -> tags.Tag | None:
    """The marker with which reasoning ends: the last one of its family that is no text."""
    opens = [tag.start for tag in own if not tag.closing]
    closes = [tag for tag in own if tag.closing and not tags.is_quoted(text, tag)]
    end = None
    for tag in closes:
        if not tags.is_a_word(text, tag) and not fences.hold(tag, end.end if end else 0, opens):
            end = tag
    # Of a block that opened, something must be the end; only a text that was cut off has none.
    return end or (closes[-1] if closes else None)


def _end_of_another(text: str, found: list[tags.Tag], fences: tags.Fences) -> tags.Tag | None:
    """The end of reasoning that opens by one name and ends by another, `<thinking> .. </think>`; of an element that
    opens itself it is none."""
    opened = {tag.family for tag in found if not tag.closing}
    opens = [tag.start for tag in found if not tag.closing]
    for tag in reversed(found):
        if not tag.closing or tag.family not in _ELEMENTS - opened or fences.hold(tag, 0, opens):
            continue
        if not tags.is_quoted(text, tag) and not tags.is_a_word(text, tag):
            return tag
    return None


def _followed(reasoning: str, answer: str) -> Parts:
    """Finished reasoning and what follows it: the answer, or a block that opens and never ends."""
    found = tags.find(answer)
    if not found or found[0].start or found[0].closing:
        return Parts(reasoning, answer)
    more = _of_tags(answer)
    together = "\n".join(part for part in (reasoning, more.reasoning) if part)
    return Parts(together, more.answer, more.finished or not together)


def _answer(text: str) -> str:
    """What an answer says, without what stands around it."""
    for _ in range(_MOST_ROUNDS):
        text, before = _unwrapped(bare(text)), text
        if text == before:
            break
    return text


def _unwrapped(answer: str) -> str:
    """An answer without the markers that it begins with, and without those that close them."""
    opening = _OPENING.match(answer) if answer[:1] in _FIRST else None
    if opening is None:
        return answer
    end = len(answer)
    while closing := _CLOSING.search(answer, max(opening.end(), end - _MOST_WRAPPER_CHARS), end):
        end = closing.start()
    inside = answer[opening.end() : end].strip()
    closes = [_CLOSES[o.lower()] for o in _AN_OPENING.findall(opening[0])]
    inner = re.search("|".join(map(re.escape, closes)), inside, re.IGNORECASE)
    if inner is None:
        return inside
    # Something follows the answer that was marked: it is part of the response, and keeps marks that it has of its own.
    more = inside[inner.end() :]
    if _AN_OPENING.search(more):
        more = answer[opening.end() + inner.end() :]
    return f"{inside[: inner.start()].rstrip()}\n{more.strip()}".strip()


def _of_a_field(reasoning: str) -> str:
    """Reasoning from a field of its own, without tags: within it they would end it early."""
    text = bare(reasoning)
    said = channels.messages(text)
    if said is not None:
        return _without_tags("\n".join(part for part in channels.split(said) if part))
    found = tags.find(text)
    if found and found[0].start == 0:
        return _without_tags(text, [tag for tag in found if tag.family == found[0].family])
    return _without_tags(text)


def _without_tags(reasoning: str, own: list[tags.Tag] | None = None) -> str:
    """Reasoning without the markers of its family, and without those of the form whatever it is written in.

    Words that only a tag held apart get a line break. Its ends may then make a marker: that is taken out, too.
    """
    text = reasoning
    for _ in range(_MOST_ROUNDS):
        gone = own if own is not None else []
        own = None
        gone = sorted({*gone, *(t for t in tags.find(text) if t.family == _THINK)}, key=lambda t: t.start)
        if not gone:
            break
        text = _cut_out(text, gone)
    return text.strip()


def _cut_out(text: str, gone: list[tags.Tag]) -> str:
    pieces: list[str] = []
    at = 0
    for tag in gone:
        # Tags that follow each other are one gap.
        if at and tag.start == at:
            at = tag.end
            continue
        pieces.append(text[at : tag.start])
        at = tag.end
    pieces.append(text[at:])
    out = pieces[:1]
    for before, after in itertools.pairwise(pieces):
        # Without a break the ends of a tag could also meet around the tag that is taken out.
        held_apart = before and after and not before[-1].isspace() and not after[0].isspace()
        out.append("\n" + after if held_apart else after)
    return "".join(out)


__all__ = ["FAMILIES", "TAGGED", "Parts", "cut_off", "put_together", "take_apart"]
