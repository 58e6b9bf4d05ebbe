"""Turns of a conversation: checked, and cut into a prompt and a response."""

from stepsift.ingest.record import Message
from stepsift.ingest.rows import RowError, kind_of, require_text

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""Roles as the publishers write them, to the four that chat templates know."""

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Keys under which a message keeps reasoning beside its content."""


def split(turns: object, where: str, role_key: str, content_key: str) -> tuple[list[Message], str, str | None]:
    """(prompt, response, reasoning) of a conversation: the last assistant turn and all turns before it.

    Turns after the last assistant turn are left out: nobody answered them. Reasoning of earlier assistant turns is
    left out too, as chat templates do. Raises RowError where a turn is malformed or there is nothing to answer.
    """
    if not isinstance(turns, list):
        raise RowError("wrong_type", f"{where} is {kind_of(turns)}, it must be a list of turns")
    if not turns:
        raise RowError("empty_field", f"{where} holds no turn")
    roles = [role(turn, f"{where}[{i}]", role_key) for i, turn in enumerate(turns)]
    if "assistant" not in roles:
        raise RowError("missing_field", f"{where} holds no turn of an assistant; roles: {', '.join(roles[:8])}")
    last = len(roles) - 1 - roles[::-1].index("assistant")
    prompt = [
        {"role": roles[i], "content": content(turns[i].get(content_key), f"{where}[{i}].{content_key}")}
        for i in range(last)
    ]
    check_prompt(prompt, where)
    reasoning = next((turns[last][k] for k in REASONING if turns[last].get(k) is not None), None)
    if reasoning is not None and not isinstance(reasoning, str):
        raise RowError("wrong_type", f"reasoning of {where}[{last}] is {kind_of(reasoning)}, it must be text")
    answer = turns[last].get(content_key)
    # A response that was cut off within its reasoning comes with empty content.
    unfinished = reasoning is not None and reasoning.strip() and answer in (None, "")
    return prompt, "" if unfinished else content(answer, f"{where}[{last}].{content_key}"), reasoning


def prompt_from(value: object, where: str) -> list[Message]:
    """A prompt that is given as text or as a list of {role, content} turns."""
    if not isinstance(value, list):
        return [{"role": "user", "content": require_text(value, where)}]
    turns = [
        {"role": role(turn, f"{where}[{i}]", "role"), "content": content(turn.get("content"), f"{where}[{i}].content")}
        for i, turn in enumerate(value)
    ]
    check_prompt(turns, where)
    return turns


def with_system(system: str | None, turns: list[Message]) -> list[Message]:
    """`turns` with a system prompt before them, where there is one that they do not already hold."""
    if system is None or turns[0]["role"] == "system":
        return turns
    return [{"role": "system", "content": system}, *turns]


def role(turn: object, where: str, key: str) -> str:
    """The role of a turn, as one of system, user, assistant, tool."""
    if not isinstance(turn, dict):
        raise RowError("wrong_type", f"{where} is {kind_of(turn)}, it must be an object with {key} and content")
    said = require_text(turn.get(key), f"{where}.{key}").strip().lower()
    if said not in ROLES:
        raise RowError("wrong_value", f"{where}.{key} is '{said[:40]}', it must be one of {', '.join(ROLES)}")
    return ROLES[said]


def content(value: object, where: str) -> str:
    """A turn's text; a list of {type: text, text} parts is joined."""
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part for part in value]
        texts = [part for part in parts if isinstance(part, str)]
        if texts and len(texts) == len(parts):
            value = "".join(texts)
    return require_text(value, where)


def check_prompt(prompt: list[Message], where: str) -> None:
    """Raise RowError where a prompt has no turn of a user."""
    if not any(turn["role"] == "user" for turn in prompt):
        raise RowError("missing_field", f"{where} holds no turn of a user before the response")
