"""A record to a candidate trace: who wrote it, which prompt it answers, its text in the one form."""

import json
import re
from dataclasses import dataclass

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


def origin_of(file: SourceFile, rule: params.Rule, settings: params.Ingest) -> RowOrigin:
    """The origin of all rows of a file."""
    suffixes = (*rule.strip_suffixes, *settings.strip_suffixes)
    wrapper = identity.Wrapper(rule.strip_prefixes, suffixes, rule.strip_boxed)
    return RowOrigin(rule, teacher_of(file, rule.teacher_from), wrapper, settings)


def build_candidate(record: Record, origin: RowOrigin) -> Candidate:
    """The candidate that a record is; raise RowError where it is none."""
    rule, settings = origin.rule, origin.settings
    for text in (record.response, record.reasoning, record.prompt_id, record.teacher, record.answer, record.domain):
        check_text(text)
    check_text(record.tests)
    check_text(record.licence)
    for turn in record.prompt:
        check_text(turn["content"])
    if _TOOL_CALL.search(record.response):
        raise RowError("tool_calls", "the response calls a tool in its text: conversations with tools are not read")
    parts = thinking.take_apart(record.response, record.reasoning)
    if settings.thinking == "drop":
        if not parts.finished:
            raise RowError("unfinished_thinking", "the reasoning never ends and ingest.thinking is drop")
        parts = thinking.Parts("", parts.answer)
    response = thinking.put_together(parts)
    if not response:
        raise RowError("empty_field", "nothing remains of the response without its empty or dropped reasoning")
    content = identity.content_hash(response)
    prompt = placed(record.prompt, settings.system)
    prompt_hash = identity.prompt_hash(prompt.turns, origin.wrapper)
    # Under the source's own id, prompts with different system prompts in their text would be joined again.
    own_id = record.prompt_id if prompt.turns == record.prompt or settings.system != "text" else None
    prompt_id = own_id or prompt_hash
    teacher = record.teacher if rule.traces else rule.teacher or record.teacher
    teacher = teacher or origin.teacher
    messages = json.dumps(prompt.turns, ensure_ascii=False)
    return Candidate(
        trace_id=identity.trace_hash(prompt_id, teacher, content),
        content_hash=content,
        prompt_id=prompt_id,
        prompt_hash=prompt_hash,
        wording=identity.bare(prompt.turns[-1]["content"], origin.wrapper),
        prompt=messages,
        without_system=messages if prompt.without is prompt.turns else json.dumps(prompt.without, ensure_ascii=False),
        system=identity.digest("system", identity.folded(prompt.system)) if prompt.system else None,
        teacher=teacher,
        response=response,
        answer=record.answer,
        answer_kind=record.answer_kind or rule.answer_kind or settings.answer_kind,
        domain=record.domain or rule.domain,
        tests=record.tests,
        label=record.label,
        licence=record.licence or rule.licence,
    )


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
