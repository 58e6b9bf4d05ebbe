"""A record to a candidate trace: who wrote it, which prompt it answers, its text in the one form."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from stepsift import params
from stepsift.ingest import identity, thinking
from stepsift.ingest.files.find import SourceFile
from stepsift.ingest.record import Record
from stepsift.ingest.rows import RowError
from stepsift.ingest.system import placed
from stepsift.ingest.teachers import teacher_of

_TOOL_CALL = re.compile(
    r"<tool_call>\s*\{|<function_calls>|<\|python_tag\|>|\[TOOL_CALLS\]|<\|tool_calls?_?(?:begin|section)"
)
"""How models write calls of tools into their text."""


@dataclass(frozen=True)
class Candidate:
    """A response that may become a row of `traces`, with what its row says of the prompt."""

    trace_id: str
    """The id that it has unless it is a kept duplicate, or its prompt joins one with another id."""
    content_hash: str
    prompt_id: str
    prompt_hash: str
    """Identity of the prompt's text; differs from `prompt_id` where the source has its own ids."""
    wording: str
    """The last turn in normal form, without what is stripped: rows of one own id join where one holds the other's."""
    prompt: str
    """JSON of the prompt's messages."""
    without_system: str
    """The same without a system prompt."""
    system: str | None
    """The system prompt's identity, where the messages hold one."""
    teacher: str
    response: str
    answer: str | None
    answer_kind: str
    """What the row says, else the rule for its file, else params.yaml; may be `auto`."""
    domain: str | None
    tests: str | None
    label: bool | None
    licence: str | None


@dataclass(frozen=True)
class RowOrigin:
    """What the file of a record adds to it."""

    rule: params.Rule
    teacher: str
    """Where neither rule nor row name one."""
    wrapper: identity.Wrapper
    settings: params.Ingest
    set_teacher: str | None
    """That of the public set: before the file's name, and behind what a row says."""


def origin_of(
    file: SourceFile, rule: params.Rule, settings: params.Ingest, set_teacher: str | None = None
) -> RowOrigin:
    """The origin of all rows of a file."""
    suffixes = (*rule.strip_suffixes, *settings.strip_suffixes)
    wrapper = identity.Wrapper(rule.strip_prefixes, suffixes, rule.strip_boxed)
    return RowOrigin(rule, set_teacher or teacher_of(file, rule.teacher_from), wrapper, settings, set_teacher)


def build_candidate(record: Record, origin: RowOrigin) -> Candidate:
    """The candidate that a record is; raise RowError where it is none."""
    rule, settings = origin.rule, origin.settings
    _check_texts(record)
    if _TOOL_CALL.search(record.response):
        raise RowError("tool_calls", "the response calls a tool in its text: conversations with tools are not read")
    parts = thinking.take_apart(record.response, record.reasoning)
    if rule.prompt_opens_thinking:
        parts = thinking.cut_off(parts, record.response)
    if settings.thinking == "drop":
        if not parts.finished:
            raise RowError("unfinished_thinking", "the reasoning never ends and ingest.thinking is drop")
        parts = thinking.Parts("", parts.answer)
    response = thinking.put_together(parts)
    if not response:
        raise RowError("empty_field", "nothing remains of the response without its empty or dropped reasoning")
    content = identity.content_hash(response)
    turns = tuple((turn["role"], turn["content"]) for turn in record.prompt)
    # Teachers answer the same prompts, so what a prompt becomes is remembered, unless it is long.
    prompt_of = _remembered_prompt if sum(len(text) for _, text in turns) <= _REMEMBERED_CHARS else _prompt
    prompt = prompt_of(turns, settings.system, origin.wrapper)
    # Under the source's own id, prompts with different system prompts in their text would be joined again.
    own_id = record.prompt_id if prompt.as_given or settings.system != "text" else None
    prompt_id = own_id or prompt.prompt_hash
    teacher = record.teacher if rule.traces else rule.teacher or record.teacher
    teacher = teacher or origin.teacher
    return Candidate(
        trace_id=identity.trace_hash(prompt_id, teacher, content),
        content_hash=content,
        prompt_id=prompt_id,
        prompt_hash=prompt.prompt_hash,
        wording=prompt.wording,
        prompt=prompt.messages,
        without_system=prompt.without_system,
        system=prompt.system,
        teacher=teacher,
        response=response,
        answer=record.answer,
        answer_kind=record.answer_kind or rule.answer_kind or settings.answer_kind,
        domain=record.domain or rule.domain,
        tests=record.tests,
        label=record.label,
        licence=record.licence or rule.licence,
    )


@dataclass(frozen=True)
class _PromptTexts:
    """What candidates say of their prompt; the fields are those of Candidate."""

    as_given: bool
    """Whether the turns are those of the source."""
    prompt_hash: str
    wording: str
    messages: str
    without_system: str
    system: str | None


def _prompt(
    turns: tuple[tuple[str, str], ...], setting: Literal["keep", "drop", "text"], wrapper: identity.Wrapper
) -> _PromptTexts:
    given = [{"role": role, "content": content} for role, content in turns]
    prompt = placed(given, setting)
    messages = json.dumps(prompt.turns, ensure_ascii=False)
    return _PromptTexts(
        as_given=prompt.turns == given,
        prompt_hash=identity.prompt_hash(prompt.turns, wrapper),
        wording=identity.bare(prompt.turns[-1]["content"], wrapper),
        messages=messages,
        without_system=messages if prompt.without is prompt.turns else json.dumps(prompt.without, ensure_ascii=False),
        system=identity.digest("system", identity.folded(prompt.system)) if prompt.system else None,
    )


_remembered_prompt = lru_cache(maxsize=2_048)(_prompt)
_REMEMBERED_CHARS = 4_000
"""Longest prompt that is remembered."""


def _check_texts(record: Record) -> None:
    optional = (record.reasoning, record.prompt_id, record.teacher, record.answer, record.domain, record.tests)
    texts = [record.response, *optional, record.licence, *(turn["content"] for turn in record.prompt)]
    try:
        check_text("".join(text for text in texts if text))
    except RowError:
        # The message names what is wrong with the first of them.
        for text in texts:
            check_text(text)


def check_text(text: str | None) -> None:
    """Raise RowError where a text holds what no table can: a NUL character or half of a surrogate pair."""
    if text is None:
        return
    if "\0" in text:
        raise RowError("nul_byte", "a text of the row holds the character U+0000")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        code = ord(text[e.start])
        raise RowError("lone_surrogate", f"a text of the row holds U+{code:04X}, half of a surrogate pair") from None
