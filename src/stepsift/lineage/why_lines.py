"""The answer of `why` as a short story for a terminal."""

import json
from collections.abc import Iterator
from typing import Any

from stepsift.core.text import count, terminal_line
from stepsift.lineage.history import Event, Moment
from stepsift.lineage.story import Choice, PromptStory, TraceStory
from stepsift.lineage.why import Why

_MOST_PROMPT_CHARS = 300
_LABEL_CHARS = 11


def lines_of(answer: Why) -> Iterator[str]:
    """Lines to read: what it is, where it comes from, each selector's choice, history, and what decided."""
    if answer.named.kind == "row":
        yield f"{answer.named.source}, line {answer.named.source_line}: not a trace"
        for row in answer.rows:
            yield _line("dropped", f"{row.stage}: {row.reason} ({row.detail})")
        return
    if answer.prompt is None:
        yield f"{answer.named.name} is in none of the present tables; older curated sets held it"
    elif answer.trace is not None:
        yield from _trace(answer.trace, answer.prompt)
    else:
        yield from _prompt(answer.prompt)
    yield from _history(answer)
    yield _line("decided by", _settings(answer))


def _trace(trace: TraceStory, prompt: PromptStory) -> Iterator[str]:
    yield f"trace {trace.trace_id} by {trace.teacher}, for prompt {trace.prompt_id}: {_summary(trace)}"
    origin = trace.origin
    md5 = f", MD5 of the file {origin.md5}" if origin.md5 else ""
    yield _line("source", f"{origin.source}, line {origin.line}, licence {origin.licence or 'unknown'}{md5}")
    if origin.published:
        yield _line("published", origin.published)
    if trace.copies:
        yield _line("copies", f"{', '.join(trace.copies)}, dropped as duplicates")
    yield _line("prompt", _text(prompt))
    label = "" if trace.label is None else f" (the source's own label: {str(trace.label).lower()})"
    expected = "" if prompt.answer is None else f", the answer is {prompt.answer}"
    yield _line("verdict", f"{trace.verdict}{label}{expected}")
    if trace.n_steps is not None and trace.n_tokens is not None:
        yield _line("length", f"{count(trace.n_steps, 'step')}, {count(trace.n_tokens, 'token')}")
        defined = {name: score for name, score in trace.scores.items() if score is not None}
        yield _line("scores", ", ".join(f"{name} {_number(score)}" for name, score in defined.items()))
    for drop in trace.dropped:
        yield _line("dropped", f"{drop.stage}: {drop.reason} ({drop.detail})")
    for verdict in trace.selectors:
        yield _line(verdict.selector, _chosen(verdict) if verdict.chosen else _not_chosen(verdict))


def _summary(trace: TraceStory) -> str:
    named = {flag: [v.selector for v in trace.selectors if v.chosen == flag] for flag in (True, False)}
    parts = [f"chosen by {', '.join(named[True])}"] if named[True] else []
    parts += [f"not by {', '.join(named[False])}"] if named[True] and named[False] else []
    return "; ".join(parts) or "not chosen"


def _chosen(verdict: Choice) -> str:
    score = "" if verdict.score is None else f"; {verdict.by} {_number(verdict.score)}"
    text = f"chosen: {verdict.reason}{score}"
    if verdict.other is not None:
        text += f"; runner-up {_other(verdict)}"
    text += "" if verdict.margin is None else f", margin {_number(verdict.margin)}"
    return text + ("" if verdict.stability is None else f", stability {verdict.stability:.0%}")


def _not_chosen(verdict: Choice) -> str:
    text = f"not chosen: {verdict.reason}"
    if verdict.score is not None:
        text += f"; {verdict.by} {_number(verdict.score)}"
    if verdict.other is not None:
        text += f"; chosen was {_other(verdict)}"
    return text + ("" if verdict.margin is None else f", {_number(verdict.margin)} apart")


def _other(verdict: Choice) -> str:
    score = "" if verdict.other_score is None else f" with {_number(verdict.other_score)}"
    return f"{verdict.other} by {verdict.other_teacher}{score}"


def _prompt(prompt: PromptStory) -> Iterator[str]:
    yield f"prompt {prompt.prompt_id}, domain {prompt.domain or 'none'}, {count(len(prompt.traces), 'trace')}"
    yield _line("prompt", _text(prompt))
    if prompt.answer is not None:
        yield _line("answer", f"{prompt.answer} ({prompt.answer_kind})")
    for trace in prompt.traces:
        where = f"{trace.origin.source}, line {trace.origin.line}, licence {trace.origin.licence or 'unknown'}"
        yield _line("trace", f"{trace.trace_id} by {trace.teacher}, {trace.verdict}, {where}: {_summary(trace)}")
        for verdict in trace.selectors:
            yield _line("", f"{verdict.selector}: {_chosen(verdict) if verdict.chosen else _not_chosen(verdict)}")


def _history(answer: Why) -> Iterator[str]:
    past = answer.history
    for event in past.events:
        trace = f" {event.trace_id}" if event.trace_id != answer.named.name else ""
        yield _line("history", f"{event.what} {event.selector}{trace} in {_moment(event.moment)}{_perhaps(event)}")
    if not past.events:
        yield _line("history", "in no curated set of any revision that can be read here")
    for unread in past.unread:
        advice = "; 'dvc fetch --all-commits' gets what a remote has" if unread.in_remote else ""
        yield _line("unread", f"{_moment(unread.moment)}: {unread.why}{advice}")


def _perhaps(event: Event) -> str:
    n = event.unread_before
    if not n:
        return ""
    of = "the revision" if n == 1 else f"one of {n} revisions"
    return f", or in {of} before it that cannot be read here"


def _moment(moment: Moment) -> str:
    return moment.subject if moment.commit is None else f"{moment.commit[:9]} ({moment.date}, {moment.subject})"


def _settings(answer: Why) -> str:
    """Settings as params.yaml has them, and the student that scored."""
    written = "; ".join(f"{name}: {_plain(value)}" for name, value in answer.settings.items() if value)
    return f"{written}; student {answer.student.get('path')}, fingerprint {str(answer.student.get('student'))[:12]}"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _text(prompt: PromptStory) -> str:
    """The last message, on one line."""
    text = " ".join(prompt.prompt[-1]["content"].split())
    return text if len(text) <= _MOST_PROMPT_CHARS else text[:_MOST_PROMPT_CHARS] + " …"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _line(label: str, text: str) -> str:
    # What a trace or a source says may hold control characters, which a terminal would obey.
    return f"{label:{_LABEL_CHARS}} {terminal_line(text)}"
