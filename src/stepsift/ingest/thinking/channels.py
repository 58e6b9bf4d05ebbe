"""Reasoning as messages to channels (harmony), with its special tokens or without.

All that is not said to the channel `final` is reasoning: analysis, commentary, calls of tools and what tools answered,
in the order of the messages, one below the other. The messages to `final` at the end are the answer.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

FINAL = "final"

_HEADER = re.compile(
    r"(?:<\|start\|>([^<]{0,200}))?(?:<\|channel\|>\s*(\w{1,40})[^<]{0,200}(?:<\|constrain\|>[^<]{0,60})?)?<\|message\|>"
)
_OPENED = ("<|channel|>", "<|message|>", "<|start|>")
_FINAL = "<|channel|>final<|message|>"
_LAST = re.compile(r"(?:\s*<\|(?:end|return|call|start)\|>)+\s*\Z")
_LAST_CHARS = 200
_QUOTES = "`\"'“‘«"

_STRIPPED = re.compile(r"(?:assistant)?(analysis|commentary)")
_STRIPPED_CUT = re.compile(r"(?:assistant)?analysis(?=[A-Z0-9\"'`*\\$(#<\[]|\n)")
_STRIPPED_NEXT = re.compile(r"(?:functions\.[\w.]{1,60} to=)?assistant(?: to=[\w.]{1,60})?(analysis|commentary|final)")
_STRIPPED_HEADER = re.compile(r"\s*to=[\w.]{1,60}\s*(?:json|code)?")


class Message(NamedTuple):
    """What was said to a channel."""

    channel: str
    text: str


def messages(text: str) -> list[Message] | None:
    """The messages of a response, None where it is not written to channels.

    Text before the first header is analysis: the prompt had opened it.
    """
    if text.startswith(_OPENED) or _says_final(text):
        return _with_tokens(text)
    if _STRIPPED.match(text) and ("assistantfinal" in text or _STRIPPED_CUT.match(text)):
        return _without_tokens(text)
    return None


def split(messages: Iterable[Message]) -> tuple[str, str]:
    """(reasoning, answer) of messages in their order; no answer where the last is not to the channel `final`."""
    bodies = [Message(m.channel, m.text.strip()) for m in messages]
    first = len(bodies)
    while first and bodies[first - 1].channel == FINAL:
        first -= 1
    reasoning, answer = bodies[:first], bodies[first:]
    return "\n".join(m.text for m in reasoning if m.text), "\n".join(m.text for m in answer if m.text)


def _says_final(text: str) -> bool:
    """Whether there is a message to `final` that the text does not only speak of, in quotes or in code."""
    at = text.find(_FINAL)
    if at < 0:
        return False
    start = text.rfind("<|start|>", max(0, at - 40), at)
    start = at if start < 0 else start
    in_code = text.count("```", 0, start) % 2 == 1 and "```" in text[at:]
    return not in_code and text[max(0, start - 1) : start] not in tuple(_QUOTES)


def _with_tokens(text: str) -> list[Message]:
    bodies, channel, at = [], "analysis", 0
    for header in _HEADER.finditer(text):
        body = text[at : header.start()]
        if at or body.strip():
            bodies.append(Message(channel, _ended(body)))
        role = (header[1] or "assistant").split()[:1] or ["assistant"]
        if role[0] in ("user", "system", "developer"):
            return bodies  # the model went on with the next turn
        channel = (header[2] or FINAL).lower() if role[0] == "assistant" else "tool"
        at = header.end()
    rest = text[at:]
    if not at:
        # A header that never came to its message: cut off.
        return [Message("analysis", _ended(rest))]
    cut = rest.find("<|start|>")
    return [*bodies, Message(channel, _ended(rest if cut < 0 else rest[:cut]))]


def _ended(body: str) -> str:
    match = _LAST.search(body, max(0, len(body) - _LAST_CHARS))
    return body[: match.start()] if match else body


def _without_tokens(text: str) -> list[Message]:
    first = _STRIPPED.match(text)
    assert first is not None
    bodies, channel, at = [], first[1], first.end()
    for header in _STRIPPED_NEXT.finditer(text, at):
        bodies.append(Message(channel, _headless(channel, text[at : header.start()])))
        channel, at = header[1], header.end()
    return [*bodies, Message(channel, _headless(channel, text[at:]))]


def _headless(channel: str, body: str) -> str:
    """A body without the rest of its header, which only commentary has."""
    match = _STRIPPED_HEADER.match(body) if channel == "commentary" else None
    return body[match.end() :] if match else body
