"""Who is who: ids of prompts and traces, from what they say and not from where they stand.

An id is 128 bits of BLAKE2b in hexadecimal. Parts are hashed with their lengths before them, so that no two lists of
parts run together into the same bytes.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from stepsift.ingest.record import Message


def digest(kind: str, *parts: str) -> str:
    """32 hexadecimal digits for a list of texts; `kind` keeps ids of different things apart."""
    pieces: list[bytes] = []
    for part in parts:
        data = part.encode("utf-8")
        pieces += (len(data).to_bytes(8, "big"), data)
    return hashlib.blake2b(b"".join(pieces), digest_size=16, person=kind.encode()).hexdigest()


@dataclass(frozen=True)
class Wrapper:
    """What a harness puts around a question, which is no part of a prompt's identity."""

    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    boxed: bool = False
    """Whether sentences with an empty box (`\\boxed{}`), which ask for a form of the answer, are cut off."""


def prompt_hash(prompt: list[Message], wrapper: Wrapper = Wrapper()) -> str:
    """The identity of a prompt: the hash of all its turns but the system prompt, in normal form."""
    turns = [(turn["role"], turn["content"]) for turn in prompt if turn["role"] != "system"]
    role, last = turns[-1]
    turns = [(role, folded(text)) for role, text in turns[:-1]] + [(role, bare(last, wrapper))]
    return digest("prompt", *(part for turn in turns for part in turn))


def trace_hash(prompt_id: str, teacher: str, content: str, number: int = 1) -> str:
    """The identity of a trace by its content's hash; `number` counts exact duplicates that are kept, from 1."""
    copies = () if number == 1 else (str(number),)
    return digest("trace", prompt_id, teacher, content, *copies)


def content_hash(response: str) -> str:
    """The hash of a response's text alone."""
    return digest("content", response)


def folded(text: str) -> str:
    """NFC, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


@lru_cache(maxsize=256)
def bare(text: str, wrapper: Wrapper) -> str:
    """A text in normal form without what stands around it."""
    if wrapper.boxed:
        text = _without_boxed(text)
    return without_prefixes(without_suffixes(folded(text), wrapper.suffixes), wrapper.prefixes)


_BOX = re.compile(r"\\boxed\s*+\{\s*+\}")
_BOXED_LEAD = re.compile(
    rf"\s*+(?:(?>[^\n]*?{_BOX.pattern})[^\n]*+\n\s*\n|(?>[^.:\n]*?{_BOX.pattern})[^.:\n]*[.:]?\s+)"
)


def _without_boxed(text: str) -> str:
    """A text without a sentence, or a paragraph of one line, at its ends that holds an empty box.

    A paragraph with a digit or a formula of its own may be the question itself, and stays. Takes time in proportion to
    the text, whatever it repeats.
    """
    text = _BOX.sub(lambda box: box[0].replace("\n", " "), text)
    lead = _BOXED_LEAD.match(text)
    text = _cut(text, 0, lead.end() if lead else 0)
    return _cut(text, _boxed_tail(text), len(text))


def _boxed_tail(text: str) -> int:
    """Where the last paragraph of one line, or else the last sentence, begins if it holds an empty box, or the end."""
    body = text.rstrip()
    line = body.rfind("\n") + 1
    if _BOX.search(body, line) and "\n" in body[len(body[:line].rstrip()) : line - 1]:
        return line
    body = body.removesuffix(".")
    begin = max(body.rfind("."), body.rfind("\n")) + 1
    if begin == 0:  # a text's only sentence is no tail
        ends = [i for i in (body.find("?"), body.find("!")) if i >= 0]
        begin = min(ends) + 1 if ends else len(body)
    box = _BOX.search(body, begin)
    return max(begin, body.rfind("?", 0, box.start()) + 1, body.rfind("!", 0, box.start()) + 1) if box else len(text)


def _cut(text: str, start: int, end: int) -> str:
    """A text without what stands from start to end, unless nothing remains or a digit or formula would go."""
    rest = (text[:start] + text[end:]).strip()
    return rest if start < end and rest and not re.search(r"[0-9$]", text[start:end]) else text


def without_prefixes(text: str, prefixes: tuple[str, ...]) -> str:
    """A folded text without the prefixes at its beginning; a text that is only prefix stays."""
    beginnings = [folded(p) for p in prefixes if p.strip()]
    while beginning := next((b for b in beginnings if text.startswith(b) and len(text) > len(b)), None):
        text = text.removeprefix(beginning).lstrip()
    return text


def without_suffixes(text: str, suffixes: tuple[str, ...]) -> str:
    """A folded text without the suffixes at its end, as often as they stand there; a text that is only suffix stays."""
    endings = [folded(s) for s in suffixes if s.strip()]
    while ending := next((e for e in endings if text.endswith(e) and len(text) > len(e)), None):
        text = text.removesuffix(ending).rstrip()
    return text
