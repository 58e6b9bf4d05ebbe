"""What asking a model would take, and what it means for the traces: for `stepsift check`, and at a stage's start."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stepsift import params
from stepsift.core.finding import Finding
from stepsift.core.text import count
from stepsift.segment.llm.grouping import Store
from stepsift.segment.llm.pieces import cut_sentences
from stepsift.segment.llm.prompt import INSTRUCTIONS

_CHARS_PER_TOKEN = 4
"""As usual for English; other texts have fewer."""
_PROMPT_CHARS = len(INSTRUCTIONS)
_CHARS_PER_NUMBER = 5
"""A sentence's number, where it stands before the sentence."""
_TOKENS_PER_NUMBER = 3
"""Of an answer: digits, comma and, now and then, brackets."""
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Forecast:
    """Requests that traces need, and what they and their answers come to; tokens are estimated from characters."""

    traces: int
    requests: int
    cached: int
    sent_tokens: int
    answer_tokens: int

    def sentence(self, llm: params.Llm) -> str:
        """Who is asked, and how much."""
        most = (
            "" if llm.max_requests is None else f", at most {llm.max_requests:,} in one run (segment.llm.max_requests)"
        )
        cached = f" ({self.cached:,} more are cached)" if self.cached else ""
        requests = f"{count(self.requests, 'request')} for {count(self.traces, 'trace')}{cached}"
        tokens = f"about {self.sent_tokens:,} tokens to read and {self.answer_tokens:,} to write"
        return f"{llm.model} at {_host(llm)}: {requests}, {tokens}{most}"

    def scaled(self, n_traces: int) -> "Forecast":
        """The same for `n_traces` like these."""
        factor = n_traces / self.traces if self.traces else 0.0
        numbers = (self.requests, self.cached, self.sent_tokens, self.answer_tokens)
        return Forecast(n_traces, *(round(factor * n) for n in numbers))


def forecast(responses: Iterable[str], settings: params.Segment, cache: Path) -> Forecast:
    """What grouping these responses takes, none of which is empty; a text that stands twice is asked about once."""
    assert settings.llm is not None
    store = Store(settings.llm, cache)
    seen: set[str] = set()
    traces = cached = requests = chars = numbers = 0
    for response in responses:
        traces += 1
        for piece in cut_sentences(response, settings).pieces():
            key = store.key(piece)
            if key in seen:
                continue
            seen.add(key)
            if store.has(key):
                cached += 1
                continue
            requests += 1
            numbers += len(piece)
            chars += _PROMPT_CHARS + sum(len(sentence) + _CHARS_PER_NUMBER for sentence in piece)
    return Forecast(traces, requests, cached, chars // _CHARS_PER_TOKEN, numbers * _TOKENS_PER_NUMBER)


def check_splitter(settings: params.Segment, responses: Sequence[str], n_traces: int, cache: Path) -> Finding:
    """Where `unit` is llm: what it will be asked, estimated from a sample of responses, and that traces leave the
    machine. Nothing is sent."""
    llm = settings.llm
    if settings.unit != "llm" or llm is None:
        return Finding()
    from stepsift.segment.llm.endpoint import KEY_VARIABLE, key_of_environment

    key = key_of_environment()
    needed = forecast([r for r in responses if r], settings, cache).scaled(n_traces)
    is_local = urlsplit(llm.url).hostname in _LOCAL_HOSTS
    goes = "stay on this machine" if is_local else f"LEAVE THIS MACHINE: their whole text is sent to {_host(llm)}"
    with_key = f"the key is in {KEY_VARIABLE}" if key else f"no key: {KEY_VARIABLE} is empty"
    warnings = []
    if llm.max_requests is not None and needed.requests > llm.max_requests:
        warnings.append(
            f"segment.llm.max_requests is {llm.max_requests:,}, and about {needed.requests:,} are needed: traces for "
            f"which none are left are cut by {llm.fallback}; raise it, or run the stage again later"
        )
    if key and not is_local and llm.url.lower().startswith("http:"):
        warnings.append(
            f"segment.llm.url begins with http:, so the key of {KEY_VARIABLE} is sent unencrypted; use https:"
        )
    return Finding(
        lines=[
            f"splitter    {needed.sentence(llm)}",
            f"            responses {goes}; {with_key}",
        ],
        warnings=warnings,
        data={"model": llm.model, "host": _host(llm), "requests": needed.requests, "traces_leave": not is_local},
    )


def _host(llm: params.Llm) -> str:
    return urlsplit(llm.url).netloc
