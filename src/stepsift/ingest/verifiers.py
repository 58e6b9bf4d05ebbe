"""As many verifiers as `ingest.workers` says, and verdicts that they give while rows are still being read.

Every worker is a thread that waits for a process of its own (verify/process.py), so the work is done outside of this
process. Rows are handed out in pieces and come back in their order: any number of workers writes the same bytes.
"""

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any, TypeVar

from stepsift import params, verify
from stepsift.core import processes
from stepsift.ingest.candidate import Candidate
from stepsift.ingest.database import Spool
from stepsift.ingest.record import ALTERNATIVES

PIECE = 128
"""Rows that a worker gets at once."""
PIECE_AHEAD = 512
"""The same while rows are read: this process has less time for each piece then."""
PIECES_AHEAD = 6
"""Pieces per worker that may wait while rows are read."""

T = TypeVar("T")
R = TypeVar("R")
AheadVerdict = tuple[int, str, str, bool]
"""(candidate number, kind of its row's gold answer, verdict, suspect)"""


class Verifiers:
    """Threads with a verifier each; use as a context manager."""

    def __init__(self, settings: params.Ingest):
        self.count = settings.workers or processes.cores()
        self._timeout_s = settings.verify_timeout_s

    def __enter__(self) -> "Verifiers":
        self._open = ExitStack()
        self._free: queue.SimpleQueue[verify.Verifier] = queue.SimpleQueue()
        for _ in range(self.count):
            self._free.put(self._open.enter_context(verify.Verifier(self._timeout_s)))
        self._threads = ThreadPoolExecutor(self.count, "verify")
        # After an error nobody wants the pieces that wait.
        self._open.callback(self._threads.shutdown, cancel_futures=True)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._open.__exit__(*exception)

    def each(self, rows: Iterable[T], work: Callable[[verify.Verifier, list[T]], R]) -> Iterator[R]:
        """`work` on each piece of rows, in the order of the rows; a few pieces are read ahead."""
        rows = iter(rows)
        running: deque[Future[R]] = deque()
        while True:
            while len(running) < 2 * self.count and (piece := list(islice(rows, PIECE))):
                running.append(self.submit(work, piece))
            if not running:
                return
            yield running.popleft().result()

    def submit(self, work: Callable[[verify.Verifier, list[T]], R], piece: list[T]) -> Future[R]:
        """`work` on a piece of rows, by the next verifier that is free."""
        return self._threads.submit(self._run, work, piece)

    def _run(self, work: Callable[[verify.Verifier, list[T]], R], piece: list[T]) -> R:
        verifier = self._free.get()
        try:
            return work(verifier, piece)
        finally:
            self._free.put(verifier)


class VerdictsAhead:
    """Judges each candidate by its own row's gold answer while others are read, and stores what comes of it.

    A verdict counts where the candidate's prompt, once all rows are known, has that gold answer (Spool.take_ahead).
    """

    def __init__(self, spool: Spool, verifiers: Verifiers):
        self._spool = spool
        self._verifiers = verifiers
        self._number = 0
        self._piece: list[tuple[int, str | None, str, str]] = []
        self._running: deque[Future[list[AheadVerdict]]] = deque()

    def offer(self, c: Candidate) -> None:
        """Take the candidate that was added to the spool last; it numbers them from 1, in their order."""
        self._number += 1
        given = None if c.answer_kind == "auto" else c.answer_kind
        if c.answer is None or c.tests is not None or ALTERNATIVES in c.answer or given in ("code", "none"):
            return
        self._piece.append((self._number, given, c.response, c.answer))
        if len(self._piece) >= PIECE_AHEAD:
            self._hand_out()

    def finish(self) -> None:
        """Wait for what was handed out."""
        if self._piece:
            self._hand_out()
        while self._running:
            self._spool.write_ahead(self._running.popleft().result())

    def _hand_out(self) -> None:
        self._running.append(self._verifiers.submit(_judge, self._piece))
        self._piece = []
        while len(self._running) > PIECES_AHEAD * self._verifiers.count or (self._running and self._running[0].done()):
            self._spool.write_ahead(self._running.popleft().result())


def _judge(verifier: verify.Verifier, piece: list[tuple[int, str | None, str, str]]) -> list[AheadVerdict]:
    known = verifier.kinds_of([answer for _, given, _, answer in piece if given is None])
    kinds = [given or known[answer] for _, given, _, answer in piece]
    questions = [(kind, response, answer) for kind, (*_, response, answer) in zip(kinds, piece, strict=True)]
    verdicts = verifier.verdicts(questions)
    return [(row[0], kind, *verdict) for row, kind, verdict in zip(piece, kinds, verdicts, strict=True)]
