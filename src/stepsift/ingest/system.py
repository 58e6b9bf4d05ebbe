"""System prompts, which differ by source and belong to the teacher that wrote under them.

`ingest.system` says what becomes of them. Whatever it says, no answer stands under another teacher's: where the rows of
a prompt do not agree on one, the prompt gets none (`keep`, `drop`), or they are prompts of their own (`text`).
"""

from typing import Literal, NamedTuple

from stepsift.ingest.record import Message


class Prompt(NamedTuple):
    """A prompt's turns, the same without a system prompt, and what the system prompt says."""

    turns: list[Message]
    without: list[Message]
    system: str | None


def placed(turns: list[Message], setting: Literal["keep", "drop", "text"]) -> Prompt:
    """A prompt with its system prompt where the setting wants it; `system` is None where it is no longer one."""
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    without = [turn for turn in turns if turn["role"] != "system"]
    if not system or setting == "drop":
        return Prompt(without, without, None)
    if setting == "keep":
        return Prompt(turns, without, system)
    first = next(i for i, turn in enumerate(without) if turn["role"] == "user")
    first_turn = {"role": "user", "content": f"{system}\n\n{without[first]['content']}"}
    joined = [*without[:first], first_turn, *without[first + 1 :]]
    return Prompt(joined, joined, None)
