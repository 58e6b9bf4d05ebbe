"""Turns of a conversation: checked, and cut into a prompt and a response."""

import re
from typing import Any, NamedTuple, TypeGuard

from stepsift.ingest.layouts import reasoning
from stepsift.ingest.paths import parsed
from stepsift.ingest.record import Message
from stepsift.ingest.row import Row
from stepsift.ingest.rows import MISSING, RowError, is_missing, kind_of, require_text
from stepsift.ingest.thinking import channels, take_apart

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
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_call": "tool",
    "tool_call": "tool",
    "tool_response": "tool",
    "ipython": "tool",
    "reasoning": "assistant",
    "thinking": "assistant",
    "thought": "assistant",
}
"""Roles as the publishers write them, to the four that chat templates know."""

_TEXT = ("text", "output_text", "input_text")
_THINKING = ("thinking", "reasoning", "thought", "reasoning_text", "reasoning.text", "reasoning_content")
"""Types of parts that hold text, and of those that hold reasoning."""

THINKING_ROLES = ("reasoning", "thinking", "thought")
"""Roles of turns that hold what the assistant thought before its next turn."""


TOOL_KEYS = ("tool_calls", "function_call")
"""Keys under which a message holds calls of tools."""

_TOOL_PARTS = ("tool_use", "tool_result", "tool_call")
_MEDIA = ("image", "video", "audio", "file")
"""Types of parts that are no text, whole or as a part of the type's name."""


_MEDIUM_AT_AN_END = re.compile(r"\A<(?:image|video|audio)>(?=\s*\n|\Z)|\n\s*<(?:image|video|audio)>\Z")
"""What processors of models that see put a picture in the place of: on the first or the last line of a turn."""

_PLACEHOLDERS = MISSING | {"-", "--"}
"""What sets have instead of questions that they may not publish, and programs instead of nothing."""


class Content(NamedTuple):
    """What a turn says, and reasoning that stood among its parts."""

    text: str
    reasoning: str | None = None


def split(row: Row, turns: object, where: str) -> tuple[list[Message], str, str | None]:
    """(prompt, response, reasoning) of a conversation: the last assistant turn and all turns before it.

    The row's own reasoning counts where the last turn has none.

    Where turns name a `channel`, the response is all that the assistant said to its channels since the last turn of a
    user (stepsift.ingest.thinking.channels), with what tools answered in between; an assistant's turn that holds
    reasoning alone, right before its next one, is to the channel analysis. Turns after the last assistant turn
    are left out: nobody answered them. Reasoning of earlier assistant turns is left out too, as chat templates do.
    Raises RowError where a turn is malformed or there is nothing to answer.
    """
    if not isinstance(turns, list):
        raise RowError("wrong_type", f"{where} is {kind_of(turns)}, it must be a list of turns")
    if not turns:
        raise RowError("empty_field", f"{where} holds no turn")
    role_key, content_key = _keys(turns[0])
    roles = [role(turn, f"{where}[{i}]", role_key) for i, turn in enumerate(turns)]
    if "assistant" not in roles:
        raise RowError("missing_field", f"{where} holds no turn of an assistant; roles: {', '.join(roles[:8])}")
    last = len(roles) - 1 - roles[::-1].index("assistant")
    to_channels, first = _response_from(turns, roles, last)
    named = any(_channel(turn, role_key) for turn in turns)
    _refuse_tools(turns, [] if named else roles, where)
    prompt = [
        _before(roles[i], turns[i].get(content_key), f"{where}[{i}].{content_key}")
        for i in range(first)
        if to_channels[i] in (None, channels.FINAL) and not _is_blank_system(roles[i], turns[i].get(content_key))
    ]
    check_prompt(prompt, where)
    if first < last or to_channels[last]:
        said = list(zip(turns, roles, to_channels, strict=True))[first : last + 1]
        return prompt, *_of_channels(said, content_key)
    beside = reasoning.beside(turns[last], f"{where}[{last}]") or reasoning.of_conversation(row)
    answer = turns[last].get(content_key)
    # A response that was cut off within its reasoning comes with empty content.
    if beside is not None and answer in (None, "", []):
        return prompt, "", beside
    parts = content(answer, f"{where}[{last}].{content_key}")
    return prompt, parts.text, parts.reasoning or beside


def _response_from(turns: list[dict[str, Any]], roles: list[str], last: int) -> tuple[list[str | None], int]:
    """The channel of each turn, and the first turn of the response that ends with turn `last`."""
    role_key, content_key = _keys(turns[0])
    to_channels = [_channel(turn, role_key) for turn in turns]
    for i in range(last):
        if roles[i] == roles[i + 1] == "assistant" and _only_thinks(turns[i], content_key):
            to_channels[i] = to_channels[i] or "analysis"
    first = last
    while first and roles[first - 1] in ("assistant", "tool"):
        first -= 1
    return to_channels, first if any(to_channels[first : last + 1]) else last


def _keys(turn: object) -> tuple[str, str]:
    """The keys of a turn's role and content, in a conversation whose first turn this is.

    Filled ones come first: where sets with different keys were merged, each row has null under the others'.
    """
    keys = turn if isinstance(turn, dict) else {}
    filled = {key for key, value in keys.items() if value is not None}
    is_from = "from" in filled or ("from" in keys and "role" not in filled)
    role_key, contents = ("from", ("value", "content")) if is_from else ("role", ("content", "value"))
    names = (*contents, "text")
    return role_key, next((key for known in (filled, keys) for key in names if key in known), contents[0])


def are_turns(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a value is a list of messages, or of one."""
    return isinstance(value, list) and bool(value) and all(map(_is_turn, value))


def _is_turn(turn: object) -> bool:
    return isinstance(turn, dict) and (bool(turn.keys() & {"role", "from"}) or "content" in turn)


def are_parts(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a value is the content of one turn in parts, each of which names its type."""
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict) and "type" in part for part in value)


def stored_parts(value: object) -> object:
    """The content of one turn whose parts are stored as JSON text, as the list that it is; every other value as it is.

    A list whose parts are of types that no text or reasoning has is an answer that was asked for as JSON.
    """
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    decoded = parsed(value)
    return decoded if are_parts(decoded) and all(map(_is_text_or_thought, decoded)) else value


def _is_text_or_thought(part: dict[str, Any]) -> bool:
    kind = str(part["type"])
    if kind in _TEXT:
        return isinstance(part.get("text"), str)
    return kind in _THINKING or any(word in kind for word in reasoning.HIDDEN)


def last_answer(turns: list[dict[str, Any]], where: str) -> tuple[str, object, str | None]:
    """(where it stands, content, reasoning beside it) of the last turn of an assistant in a response that is given as
    messages, with or without the prompt before it; a single turn is one whatever its role. Turns before it that only
    think, and turns to channels, belong to it as in `split`."""
    role_key, key = _keys(turns[0])
    roles = [role(turn, f"{where}[{i}]", role_key) for i, turn in enumerate(turns)] if len(turns) > 1 else ["assistant"]
    if "assistant" not in roles:
        raise RowError("missing_field", f"{where} holds no turn of an assistant; roles: {', '.join(roles[:8])}")
    last = len(roles) - 1 - roles[::-1].index("assistant")
    _refuse_tools(turns, roles if len(turns) > 1 else [], where)
    to_channels, first = _response_from(turns, roles, last)
    if first < last or to_channels[last]:
        said = list(zip(turns, roles, to_channels, strict=True))[first : last + 1]
        return f"{where}[{last}].{key}", *_of_channels(said, key)
    return f"{where}[{last}].{key}", turns[last].get(key), reasoning.beside(turns[last], f"{where}[{last}]")


def _channel(turn: dict[str, object], role_key: str) -> str | None:
    """The channel that a turn of an assistant names; None where it names none."""
    if str(turn.get(role_key)).strip().lower() in THINKING_ROLES:
        return "analysis"
    channel = turn.get("channel")
    return channel.strip().lower() or None if isinstance(channel, str) else None


def _only_thinks(turn: dict[str, object], content_key: str) -> bool:
    """Whether a turn holds reasoning and no answer: that of the turn behind it, if both are the assistant's."""
    value = turn.get(content_key)
    if value in (None, "", []):
        return reasoning.beside(turn, content_key) is not None
    try:
        text, thought = content(value, content_key)
    except RowError:  # it is raised again where the turn is read
        return False
    return not take_apart(text).answer if text.strip() else thought is not None


def _of_channels(said: list[tuple[dict[str, object], str, str | None]], content_key: str) -> tuple[str, str | None]:
    """(answer, reasoning) of turns, each with its role and channel; no answer where the last is not to `final`."""
    bodies = []
    for turn, who, to in said:
        value = turn.get(content_key)
        text, among = content(value, content_key) if value else ("", None)
        # The last turn may keep reasoning in a field, too.
        thought = among or reasoning.beside(turn, content_key)
        bodies += [channels.Message("analysis", thought)] if thought else []
        bodies.append(channels.Message("tool" if who == "tool" else to or channels.FINAL, text))
    reasoned, answer = channels.split(bodies)
    return answer, reasoned or None


def _refuse_tools(turns: list[dict[str, object]], roles: list[str], where: str) -> None:
    """Raise RowError where a turn calls a tool, or one of `roles` is a tool's: what a tool does is no plain text."""
    for i, turn in enumerate(turns):
        key = next((name for name in TOOL_KEYS if not _is_nothing(turn.get(name))), None)
        if key or "tool" in roles[i : i + 1]:
            what = f"holds {key}" if key else "is a call or an answer of a tool"
            raise RowError("tool_calls", f"{where}[{i}] {what}: conversations with tools are not read, only plain text")


def _is_nothing(value: object) -> bool:
    """Whether a value is empty, also where a table of texts holds it as JSON."""
    return not value or (isinstance(value, str) and value.strip() in ("", "[]", "{}", "null", "None"))


def _is_blank_system(who: str, value: object) -> bool:
    """Whether a turn is a system prompt that says nothing, as sets have it in which only some rows have one."""
    return who == "system" and (
        value in (None, []) or is_missing(value) or (isinstance(value, str) and not value.strip())
    )


def _before(who: str, value: object, where: str) -> Message:
    """A turn of a prompt: of an assistant's, what it answered and not what it thought."""
    text = content(value, where).text
    return {"role": who, "content": (take_apart(text).answer or text) if who == "assistant" else text}


def prompt_from(value: object, where: str) -> list[Message]:
    """A prompt that is given as text, alone in a list or not, or as turns, each {role, content} or {from, value}."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if not isinstance(value, list):
        turns = [{"role": "user", "content": require_text(value, where)}]
        check_prompt(turns, where)
        return turns
    if not value:
        raise RowError("empty_field", f"{where} holds no turn")
    role_key, key = _keys(value[0])
    roles = [role(turn, f"{where}[{i}]", role_key) for i, turn in enumerate(value)]
    _refuse_tools(value, roles, where)
    turns = [
        _before(roles[i], turn.get(key), f"{where}[{i}].{key}")
        for i, turn in enumerate(value)
        if not _is_blank_system(roles[i], turn.get(key))
    ]
    check_prompt(turns, where)
    return turns


def asked(row: Row, names: tuple[str, ...]) -> list[Message]:
    """The prompt of a row whose responses stand in columns of their own, after its system prompt.

    Where it is an `instruction`, earlier turns (LLaMA-Factory's `history`) go before it, and the text of `input`
    follows it after a blank line.
    """
    where, prompt = row.require("prompt", names)
    turns = with_system(row, prompt_from(prompt, where))
    return _instruction(row, where, turns) if where.lower() == "instruction" else turns


def _instruction(row: Row, where: str, turns: list[Message]) -> list[Message]:
    beside = row.free("prompt", ("input", "history"))
    extra, pairs = beside.get("input"), beside.get("history")
    *before, last = turns
    if pairs:
        before += _history(pairs)
        row.read.add(row.column("history"))
    if extra is not None and not isinstance(extra, str):
        raise RowError("wrong_type", f"input is {kind_of(extra)}, it must be text")
    if extra and extra.strip():
        last = {**last, "content": f"{last['content']}\n\n{extra}"}
        row.note("prompt", row.column("input"))
        row.used["prompt"] = f"{where} and {row.column('input')}"
    return [*before, last]


def _history(pairs: object) -> list[Message]:
    """Earlier turns, oldest first."""
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise RowError("wrong_type", f"history is {kind_of(pairs)}, it must be a list of [user, assistant] pairs")
    return [
        {"role": role, "content": require_text(text, f"history[{i}]")}
        for i, pair in enumerate(pairs)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def with_system(row: Row, turns: list[Message]) -> list[Message]:
    """`turns` with the row's system prompt before them, where there is one that they do not already hold.

    It is text, or the parts of one, as programming interfaces take it.
    """
    where, value = row.find("system")
    parts = isinstance(value, list) and any(isinstance(part, dict) for part in value)
    system = content(value, f"system: field '{where}'").text if parts else row.text("system")
    if system is None or turns[0]["role"] == "system":
        return turns
    return [{"role": "system", "content": system}, *turns]


def role(turn: object, where: str, key: str) -> str:
    """The role of a turn, as one of system, user, assistant, tool."""
    if not isinstance(turn, dict):
        raise RowError("wrong_type", f"{where} is {kind_of(turn)}, it must be an object with {key} and content")
    name = require_text(turn.get(key), f"{where}.{key}").strip().lower()
    if name not in ROLES:
        raise RowError("wrong_value", f"{where}.{key} is '{name[:40]}', it must be one of {', '.join(ROLES)}")
    return ROLES[name]


def content(value: object, where: str) -> Content:
    """A turn's text, and what its parts hold of reasoning.

    Parts are texts, `{type: text, text}` or `{type: thinking, thinking}` as publishers write them. Text before the last
    part of reasoning belongs to it; redacted reasoning is left out. Raises RowError where a part is something else
    (an image, a call of a tool) or there is no text.
    """
    if not isinstance(value, list):
        return Content(require_text(value, where))
    if not value:
        raise RowError("wrong_type", f"{where} is a list without a part, it must be text")
    texts: list[str] = []
    thought: list[str] = []
    for part in value:
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if isinstance(part, dict) and (kind in _THINKING or part.get("thought") is True):
            text = reasoning.text_of(part, where)
            thought += [*("".join(texts),) * bool(texts), *((text,) if text else ())]
            texts = []
        elif isinstance(part, str) or (isinstance(part, dict) and kind in _TEXT and isinstance(part.get("text"), str)):
            texts.append(part if isinstance(part, str) else part["text"])
        elif str(kind) in _TOOL_PARTS:
            raise RowError(
                "tool_calls", f"{where} holds a part of type '{kind}': conversations with tools are not read"
            )
        elif any(medium in str(kind) for medium in _MEDIA):
            raise RowError("images", f"{where} holds a part of type '{str(kind)[:40]}', and only plain text is read")
        elif not any(word in str(kind) for word in reasoning.HIDDEN):
            shown = f"a part of type '{str(kind)[:40]}'" if isinstance(part, dict) else kind_of(part)
            raise RowError("wrong_type", f"{where} is a list that holds {shown}, it must hold text alone")
    text = "".join(texts)
    if thought and not text.strip():
        return Content("", "\n".join(thought))
    return Content(require_text(text, where), "\n".join(thought) or None)


def check_prompt(prompt: list[Message], where: str) -> None:
    """Raise RowError where a prompt has no turn of a user, nothing but a placeholder in it, or a place of a picture."""
    asked = [turn["content"].strip() for turn in prompt if turn["role"] == "user"]
    if not asked:
        raise RowError("missing_field", f"{where} holds no turn of a user before the response")
    if len(asked) == 1 and asked[0] in _PLACEHOLDERS:
        raise RowError("empty_field", f"{where} is '{asked[0]}', which stands for a question that is not there")
    if medium := next((match for match in map(_MEDIUM_AT_AN_END.search, asked) if match), None):
        raise RowError("images", f"{where} holds {medium[0].strip()} on a line of its own: only plain text is read")
