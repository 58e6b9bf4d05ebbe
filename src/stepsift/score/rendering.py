"""How a student is given traces, in words: for the card of a data set, and for `stepsift check --student`."""

from typing import Any, Literal

from stepsift.core.errors import StudentError
from stepsift.core.text import CLOSE, OPEN
from stepsift.render import Messages, Renderer

Trained = Literal["same", "other", "no reasoning"]
_TRACES = {"reasoning": f"{OPEN}\nWe add.\n{CLOSE}\n\nIt is 7.", "answer": "It is 7."}


def in_words(renderer: Renderer) -> dict[str, Any]:
    """Ready for JSON: `template`, whether there is one; `prompt`, what its generation prompt does to reasoning (open,
    closed or null); `reasoning`, kept or dropped; `form`, what opens reasoning; `messages`, see
    `as_messages`, for a trace with `reasoning` and for an `answer` alone."""
    facts: dict[str, Any] = {"template": renderer.has_template, "prompt": None, "reasoning": "kept", "form": OPEN}
    user = [{"role": "user", "content": "What is 3 and 4?"}]
    if renderer.markup is not None:
        facts["form"] = renderer.markup.opens.strip() or renderer.markup.between.strip()
    try:
        facts["prompt"] = renderer.thinking_of_prompt(user)
        facts["reasoning"] = "kept" if renderer.keeps_reasoning(user) else "dropped"
        facts["messages"] = {name: as_messages(renderer, user, trace) for name, trace in _TRACES.items()}
    except StudentError:  # a template that refuses so short a conversation
        facts["messages"] = dict.fromkeys(_TRACES, "other")
    return facts


def as_messages(renderer: Renderer, messages: Messages, response: str) -> Trained:
    """What a trainer trains that applies the template to a whole conversation: the `same` text as is scored and trained
    here, `no reasoning` though it is kept here, or `other` text."""
    if not renderer.has_template:
        return "same"
    applied = renderer.conversation_text([*messages, {"role": "assistant", "content": response}])
    reasoning = response.lstrip().removeprefix(OPEN).partition(CLOSE)[0].strip()
    thinks = response.lstrip().startswith(OPEN)
    if thinks and renderer.keeps_reasoning(messages) and reasoning not in applied:
        return "no reasoning"
    here = renderer.prompt_text(messages) + "".join(piece.text for piece in renderer.pieces(messages, response))
    return "same" if applied.startswith(here.rstrip()) else "other"
