"""A record to a candidate trace: who wrote it, which prompt it answers, its text in the one form."""

import json
from dataclasses import dataclass

from stepsift import params
from stepsift.ingest import identity, thinking
from stepsift.ingest.record import Record
from stepsift.ingest.rows import RowError


@dataclass(frozen=True)
class Candidate:
    """A response that may become a row of `traces`, with what its row says of the prompt."""

    trace_id: str
    """The id that it has unless it is a kept duplicate."""
    content_hash: str
    prompt_id: str
    prompt_hash: str
    """Identity of the prompt's text; differs from `prompt_id` where the source has its own ids."""
    prompt: str
    """JSON of the prompt's messages."""
    teacher: str
    response: str
    answer: str | None
    answer_kind: str
    """What the row says, else the rule for its file, else params.yaml; may be `auto`."""
    domain: str | None
    tests: str | None
    label: bool | None
    licence: str | None


def candidate(record: Record, rule: params.Rule, stem: str, settings: params.Ingest) -> Candidate:
    """The candidate that a record of a file with this rule and name is; raise RowError where it is none."""
    for text in (record.response, record.reasoning, record.prompt_id, record.teacher, record.answer, record.domain):
        check_text(text)
    check_text(record.tests)
    check_text(record.licence)
    for turn in record.prompt:
        check_text(turn["content"])
    parts = thinking.take_apart(record.response, record.reasoning)
    if settings.thinking == "drop":
        if not parts.finished:
            raise RowError("unfinished_thinking", "the reasoning never ends and ingest.thinking is drop")
        parts = thinking.Parts("", parts.answer)
    response = thinking.put_together(parts)
    if not response:
        raise RowError("empty_field", "nothing remains of the response without its empty or dropped reasoning")
    content = identity.content_hash(response)
    prompt_hash = identity.prompt_hash(record.prompt, settings.strip_suffixes)
    prompt_id = record.prompt_id or prompt_hash
    teacher = rule.teacher or record.teacher or stem
    return Candidate(
        trace_id=identity.trace_hash(prompt_id, teacher, content),
        content_hash=content,
        prompt_id=prompt_id,
        prompt_hash=prompt_hash,
        prompt=json.dumps(record.prompt, ensure_ascii=False),
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
