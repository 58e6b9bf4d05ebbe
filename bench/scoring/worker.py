"""A process of its own for what bench/score.py measures: nothing that ran before can reach its time or its memory."""

import logging
import multiprocessing
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from scoring.methods import Failure, Loaded, Setup


class Worker:
    """A fresh process that holds one `Loaded`; `ask` calls one of its methods there.

    A process that ends, for want of memory say, is a Failure and not an exception, so that the bench goes on: with a
    new process for the next question.
    """

    def __init__(self, setup: Setup):
        self._setup = setup
        self._start()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the method of `Loaded` with this name returns, or a Failure."""
        try:
            self._pipe.send((name, arguments))
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            ended = self._process.exitcode
            self._pipe.close()
            self._start()
            return Failure(f"the process ended with exit code {ended}")

    def _start(self) -> None:
        here = multiprocessing.get_context("spawn")
        self._pipe, theirs = here.Pipe()
        self._process = here.Process(target=_serve, args=(theirs, self._setup), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection, setup: Setup) -> None:
    """Answer one question after another until the other end is closed."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    loaded: Loaded | None = None
    for name, arguments in _questions(pipe):
        try:
            loaded = loaded or Loaded(setup)
            answer = getattr(loaded, name)(*arguments)
        except Exception as e:  # a method that fails is a line of the table, whatever its reason
            answer = Failure(f"{type(e).__name__}: {' '.join(str(e).split())[:200]}")
        pipe.send(answer)


def _questions(pipe: Connection) -> Iterator[tuple[str, tuple[Any, ...]]]:
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return
