"""One form for reasoning, whoever wrote it and however its publisher stored it.

The form, which is what R1, QwQ and Qwen 3 write themselves:

    <think>
    reasoning, without white space around it
    </think>

    answer, without white space around it

- No reasoning, or an empty block: the answer alone. No answer: nothing after `</think>`.
- Reasoning that never ends keeps its `<think>` and has no `</think>`: the trace was cut off.
- All before the last `</think>` is reasoning: templates like R1's open the block in the prompt, so a lone `</think>`
  ends one. An answer that speaks of `</think>` itself is therefore misread.
- Of several blocks one is made: tags within the reasoning are taken out, and text between two blocks belongs to it. A
  block that opens right after another and never ends makes the reasoning one that never ends.
- Reasoning beside the content is used where the content holds no block of its own.
- A response has no white space around it. Everything else stays as it is: taking the form twice changes nothing.
"""

import re
from dataclasses import dataclass

from stepsift.core.text import CLOSE, OPEN

VARIANTS = (
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
)
"""Other tags around reasoning; they count only where the response begins with the first of a pair."""

WRAPPERS = (("<|begin_of_solution|>", "<|end_of_solution|>"), ("<answer>", "</answer>"))
"""Tags around a whole answer that follows reasoning; they are taken off."""

_TAGS = re.compile(f"(?:{OPEN}|{CLOSE})+")


@dataclass(frozen=True)
class Parts:
    """A response, taken apart. `finished` is False where the reasoning never ends."""

    reasoning: str
    answer: str
    finished: bool = True


def take_apart(response: str, beside: str | None = None) -> Parts:
    """Reasoning and answer of a response, `beside` being reasoning that the source keeps in a field of its own."""
    parts = _inline(response)
    if beside is None or parts.reasoning or not parts.finished:
        return parts
    reasoning = _bare(beside)
    if not reasoning:
        return parts
    answer = _unwrapped(parts.answer)
    return _followed(reasoning, answer) if answer else Parts(reasoning, "", finished=False)


def put_together(parts: Parts) -> str:
    """The one form."""
    if not parts.finished:
        return f"{OPEN}\n{parts.reasoning}"
    if not parts.reasoning:
        return parts.answer
    return f"{OPEN}\n{parts.reasoning}\n{CLOSE}" + (f"\n\n{parts.answer}" if parts.answer else "")


def _inline(response: str) -> Parts:
    text = _one_tag(response.strip())
    reasoning, close, answer = text.rpartition(CLOSE)
    if close:
        reasoning, answer = _without_tags(reasoning), _unwrapped(answer.strip())
        if not reasoning:
            return _inline(answer)
        return _followed(reasoning, answer)
    if text.startswith(OPEN):
        rest = _without_tags(text)
        return Parts(rest, "", finished=not rest)
    return Parts("", text)


def _followed(reasoning: str, answer: str) -> Parts:
    """Finished reasoning and what follows it: the answer, or a block that opens and never ends."""
    if not answer.startswith(OPEN):
        return Parts(reasoning, answer)
    more = _without_tags(answer)
    return Parts(f"{reasoning}\n{more}".strip(), "", finished=not more)


def _one_tag(text: str) -> str:
    for opening, closing in VARIANTS:
        if text.startswith(opening):
            return OPEN + text.removeprefix(opening).replace(closing, CLOSE, 1)
    return text


def _unwrapped(answer: str) -> str:
    for opening, closing in WRAPPERS:
        if answer.startswith(opening) and answer.endswith(closing):
            return _unwrapped(answer.removeprefix(opening).removesuffix(closing).strip())
    return answer


def _bare(reasoning: str) -> str:
    """Reasoning from a field of its own, without tags: within it they would end it early."""
    return _without_tags(_one_tag(reasoning.strip()))


def _without_tags(reasoning: str) -> str:
    """Reasoning without any tag of the form; words that only a tag held apart get a line break."""

    def gap(tags: re.Match[str]) -> str:
        # Without it the ends of a tag could also meet around the tag that is taken out.
        around = reasoning[max(0, tags.start() - 1) : tags.start()], reasoning[tags.end() : tags.end() + 1]
        return "\n" if all(c and not c.isspace() for c in around) else ""

    return _TAGS.sub(gap, reasoning).strip()
