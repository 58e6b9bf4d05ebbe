"""Who is who: ids of prompts and traces, from what they say and not from where they stand.

An id is 128 bits of BLAKE2b in hexadecimal. Parts are hashed with their lengths before them, so that no two lists of
parts run together into the same bytes.
"""

import hashlib
import unicodedata

from stepsift.ingest.record import Message


def digest(kind: str, *parts: str) -> str:
    """32 hexadecimal digits for a list of texts; `kind` keeps ids of different things apart."""
    h = hashlib.blake2b(digest_size=16, person=kind.encode())
    for part in parts:
        data = part.encode("utf-8")
        h.update(len(data).to_bytes(8, "big"))
        h.update(data)
    return h.hexdigest()


def prompt_hash(prompt: list[Message], strip_suffixes: tuple[str, ...] = ()) -> str:
    """The identity of a prompt: the hash of all its turns but the system prompt, in normal form."""
    turns = [(turn["role"], folded(turn["content"])) for turn in prompt if turn["role"] != "system"]
    role, last = turns[-1]
    turns[-1] = (role, without_suffixes(last, strip_suffixes))
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


def without_suffixes(text: str, suffixes: tuple[str, ...]) -> str:
    """A folded text without the suffixes at its end, as often as they stand there; a text that is only suffix stays."""
    endings = [folded(s) for s in suffixes if s.strip()]
    while ending := next((e for e in endings if text.endswith(e) and len(text) > len(e)), None):
        text = text.removesuffix(ending).rstrip()
    return text
