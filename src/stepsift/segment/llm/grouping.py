"""Traces to steps by a model's groups: from the cache, by many requests at once within a budget, else by rules.

Which trace gets which steps depends on the answers alone, never on the order in which they come, as long as the server
gives some (how often it is asked again before a run gives up counts over all threads): traces are worked on frame by
frame, requests are allotted in the order of trace ids, and each piece of text is asked about once. Every answer is
stored the moment it comes, so a run that is killed has lost what was under way and nothing else.
"""

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params, sidecache
from stepsift.core import disk, tables
from stepsift.core.errors import SplitterError
from stepsift.core.text import count
from stepsift.segment.llm.answer import UnusableError, read_groups
from stepsift.segment.llm.pieces import Sentences, cut_sentences
from stepsift.segment.llm.prompt import PROMPT_SHA256, messages
from stepsift.segment.llm.threads import in_threads
from stepsift.segment.splitter import Steps, split

log = logging.getLogger(__name__)

FOLDER = "groups"
"""Of answers, below the root of all caches."""
_ANSWER = "groups.json"
_MOST_ANSWER_BYTES = 2**20
_GIVE_UP = 10
"""After so many pieces in a row that got no answer, none is asked about any more in this run."""

Ask = Callable[[list[dict[str, str]], Callable[[], bool]], str]
"""`Endpoint.ask`."""


@dataclass(frozen=True)
class _Failure:
    """Why a piece has no groups: one of tables.FALLBACK_REASONS, and a sentence, which may be the endpoint's."""

    reason: str
    detail: str


@dataclass
class GroupCounts:
    """What became of traces; all of it depends on the answers alone."""

    grouped: int = 0
    fallbacks: Counter[str] = field(default_factory=Counter)

    @property
    def traces(self) -> int:
        """All that were cut."""
        return self.grouped + self.fallbacks.total()


class Store:
    """Answers by content: the groups of a piece under a model, its settings and a prompt, whatever the address."""

    def __init__(self, settings: params.Llm, cache: Path):
        self._settings = settings
        self._cache = sidecache.SideCache(cache / FOLDER)

    def key(self, sentences: list[str]) -> str:
        """Of these sentences."""
        settings = self._settings
        return sidecache.key(
            kind="groups",
            prompt=PROMPT_SHA256,
            sentences=sentences,
            **{name: getattr(settings, name) for name in ("model", "temperature", "max_tokens", "extra")},
        )

    def has(self, key: str) -> bool:
        """Whether there is an answer."""
        return self._cache.has(key)

    def get(self, key: str) -> list[int] | None:
        """The number of the last sentence of each group; None where there is none."""
        place = self._cache.get(key)
        if place is None:
            return None
        try:
            ends: list[int] = json.loads(disk.read_regular(place / _ANSWER, _MOST_ANSWER_BYTES))
        except FileNotFoundError:  # removed meanwhile, as 'stepsift cache prune' does
            return None
        return ends

    def put(self, key: str, ends: list[int]) -> None:
        """Keep an answer; raises CacheError where nothing may be written."""
        self._cache.get_or_make(key, lambda folder: disk.write_json(ends, folder / _ANSWER))


class Grouping:
    """Cuts traces by what `ask` answers. `fallbacks` are rows of the table of that name, `counts` what became of all.

    `requests` counts those that were sent, `from_cache` the pieces that needed none; neither is part of any output.
    """

    def __init__(self, settings: params.Segment, store: Store, ask: Ask):
        assert settings.llm is not None
        self._settings, self.llm = settings, settings.llm
        self._store, self._ask = store, ask
        self._left = self.llm.max_requests
        self._lock = threading.Lock()
        self._unanswered = 0
        self._answered = 0
        self._usable = 0
        self._first_failure = ""
        self.fallbacks: list[dict[str, str]] = []
        self.counts = GroupCounts()
        self.requests = 0
        self.from_cache = 0

    def cut(self, traces: Mapping[str, str]) -> list[Steps]:
        """The steps of each response, by trace id in order; raises SplitterError where the endpoint refuses us."""
        sentences = {trace_id: cut_sentences(response, self._settings) for trace_id, response in traces.items()}
        keys = {trace_id: [self._store.key(p) for p in s.pieces()] for trace_id, s in sentences.items()}
        answers = self._answers(sentences, keys)
        return [self._steps(trace_id, s, [answers[k] for k in keys[trace_id]]) for trace_id, s in sentences.items()]

    def _steps(self, trace_id: str, sentences: Sentences, answers: list[list[int] | _Failure]) -> Steps:
        groups = [a for a in answers if not isinstance(a, _Failure)]
        failures = [a for a in answers if isinstance(a, _Failure)]
        if not failures:
            self.counts.grouped += 1
            return sentences.steps_of(groups, self._settings.max_step_chars)
        first = failures[0]
        self.counts.fallbacks[first.reason] += 1
        self.fallbacks.append({"trace_id": trace_id, "reason": first.reason})
        self._first_failure = self._first_failure or first.detail
        return split(sentences.response, self._settings)

    def _answers(
        self, sentences: Mapping[str, Sentences], keys: Mapping[str, list[str]]
    ) -> dict[str, list[int] | _Failure]:
        """Groups of every piece, or why there are none, by key."""
        answers: dict[str, list[int] | _Failure] = {}
        missing: dict[str, list[str]] = {}
        for trace_id, of_trace in keys.items():
            new = {}
            for key, piece in zip(of_trace, sentences[trace_id].pieces(), strict=True):
                if key in answers or key in missing or key in new:
                    continue
                if (ends := self._store.get(key)) is not None:
                    answers[key] = ends
                    self.from_cache += 1
                    self._usable += 1
                else:
                    new[key] = piece
            if self._take(len(new)):
                missing |= new
            else:
                limit = f"segment.llm.max_requests is {self.llm.max_requests}, and none is left"
                answers |= dict.fromkeys(new, _Failure("budget", limit))
        return answers | self._asked(missing)

    def _take(self, n: int) -> bool:
        """Whether the budget has `n` requests left, which are then taken."""
        with self._lock:
            if self._left is not None:
                if n > self._left:
                    return False
                self._left -= n
            self.requests += n
            return True

    def _asked(self, missing: Mapping[str, list[str]]) -> dict[str, list[int] | _Failure]:
        """Ask about pieces, as many at once as there are workers."""
        workers = min(self.llm.workers, len(missing))
        return dict(in_threads(self._groups, missing.items(), workers)) if missing else {}

    def _groups(self, key: str, piece: list[str]) -> list[int] | _Failure:
        """Ask about one piece, and keep the answer at once."""
        # httpx is imported with the endpoint, and only where one is asked.
        from stepsift.segment.llm.endpoint import NoAnswerError

        if self._unanswered >= _GIVE_UP:
            return _Failure("unreachable", f"given up after {_GIVE_UP} requests in a row without an answer")
        try:
            text = self._ask(messages(piece), lambda: self._take(1))
        except NoAnswerError as e:
            # Who refuses one text, or says too much, is there.
            self._unanswered = 0 if e.is_final else self._unanswered + 1
            return _Failure(e.reason, str(e))
        except SplitterError as e:
            if not self._answered:
                raise
            return _Failure("refused", str(e))
        except UnusableError as e:
            self._count_answer()
            return _Failure(e.reason, str(e))
        self._count_answer()
        try:
            ends = read_groups(text, len(piece))
        except UnusableError as e:
            return _Failure(e.reason, str(e))
        self._usable += 1
        self._store.put(key, ends)
        return ends

    def _count_answer(self) -> None:
        self._unanswered = 0
        self._answered += 1

    def finish(self) -> str:
        """What became of the traces, in a sentence; raises SplitterError where some were asked about and no answer
        could be used."""
        counts, llm = self.counts, self.llm
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.fallbacks.items()))
        if self.requests and not self._usable:
            raise SplitterError(
                f"{llm.model} gave no answer that can be used for {count(counts.traces, 'trace')} ({reasons}; the "
                f"first: {self._first_failure}); see that segment.llm.url answers, or set segment.unit: {llm.fallback}"
            )
        sent = f"{count(self.requests, 'request')}, {count(self.from_cache, 'answer')} from the cache"
        if not counts.fallbacks:
            return f"{llm.model} grouped all {count(counts.traces, 'trace')} ({sent})"
        n = counts.fallbacks.total()
        return (
            f"{llm.model} grouped {counts.grouped} of {count(counts.traces, 'trace')} ({sent}); "
            f"{count(n, 'trace')} {'was' if n == 1 else 'were'} cut by {llm.fallback} instead ({reasons})"
        )

    def metrics(self) -> dict[str, Any]:
        """For a metrics file: who was asked in which words, and what became of the traces; the same in every run that
        gets the same answers."""
        llm = self.llm
        asked = {"model": llm.model, "prompt_sha256": PROMPT_SHA256, "temperature": llm.temperature}
        fallbacks = dict(sorted(self.counts.fallbacks.items()))
        return asked | {"fallback": llm.fallback, "grouped": self.counts.grouped, "fallbacks": fallbacks}

    def table(self) -> pl.DataFrame:
        """Table fallbacks."""
        return pl.DataFrame(self.fallbacks, schema=tables.FALLBACKS.schema).sort(tables.FALLBACKS.key)


@contextmanager
def open_grouping(settings: params.Segment, cache: Path) -> Iterator[Grouping | None]:
    """What cuts traces where `settings.unit` is llm, else None; `cache` is the root of all caches.

    Raises SplitterError where the environment's key cannot be one.
    """
    if settings.unit != "llm" or settings.llm is None:
        yield None
        return
    from stepsift.segment.llm.endpoint import Endpoint

    with Endpoint(settings.llm) as endpoint:
        yield Grouping(settings, Store(settings.llm, cache), endpoint.ask)
