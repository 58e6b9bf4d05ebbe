"""What a model wrote, to groups of sentences. Read leniently: fences, thinking and prose around the JSON do not matter.
Verified strictly: groups are the numbers 1 to n, each once, in order, or they are none."""

import json
from collections.abc import Iterator
from typing import Any

MOST_CHARS = 200_000
"""Of an answer that is read: 2,000 numbers need a twentieth of that."""
_MOST_STARTS = 500
"""Brackets at which JSON may begin that are tried: an answer of brackets alone ends there."""
_THOUGHT = "</think>"


class UnusableError(Exception):
    """An answer that gives no groups: `reason` is the word that it is counted by, the text says what is wrong."""

    def __init__(self, reason: str, text: str):
        self.reason = reason
        super().__init__(text)


def read_groups(text: str, n_sentences: int) -> list[int]:
    """The number of the last sentence of each group, from 1; raises UnusableError.

    What precedes the last `</think>` is thinking. Of several groups in the rest the last ones are the answer: an object
    with `groups`, or the list of lists alone.
    """
    answer = text.rpartition(_THOUGHT)[2][-MOST_CHARS:]
    found: Any = None
    for value in _json_values(answer):
        groups = value.get("groups") if isinstance(value, dict) else value
        if isinstance(groups, list) and groups and all(isinstance(group, list) for group in groups):
            found = groups
    if found is None:
        raise UnusableError("no_groups", "the answer holds no JSON with groups of numbers")
    return _partition(found, n_sentences)


def _partition(groups: list[list[Any]], n_sentences: int) -> list[int]:
    """The last number of each group; raises UnusableError unless they are 1 to n in order, and no group is empty."""
    expected = 1
    ends = []
    for group in groups:
        if not group:
            raise UnusableError("not_a_partition", f"a group before sentence {expected} is empty")
        for number in group:
            if type(number) is not int:
                raise UnusableError("not_a_partition", f"a group holds {repr(number)[:40]}, which is no whole number")
            if number != expected:
                raise UnusableError("not_a_partition", f"sentence {number} stands where {expected} is due")
            expected += 1
        ends.append(expected - 1)
    if expected != n_sentences + 1:
        raise UnusableError("not_a_partition", f"the groups end at sentence {expected - 1} of {n_sentences}")
    return ends


def _json_values(text: str) -> Iterator[Any]:
    """Every outermost object and array in a text, from the left; what does not parse is passed over."""
    decoder = json.JSONDecoder()
    at = 0
    for _ in range(_MOST_STARTS):
        starts = [i for i in (text.find("{", at), text.find("[", at)) if i >= 0]
        if not starts:
            return
        try:
            value, at = decoder.raw_decode(text, min(starts))
        except (ValueError, RecursionError):
            at = min(starts) + 1
        else:
            yield value
