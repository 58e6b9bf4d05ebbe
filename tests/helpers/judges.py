"""Processes that judge answers, handed from one use to the next: each start imports sympy, most of a second.

Only for tests of what is done with verdicts; those of the process itself start their own (tests/verify).
"""

import queue
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from stepsift.verify.process import JudgeProcess


class SharedJudges:
    """Idle processes that a JudgeProcess left behind, for the next one that needs a process."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """While this is open, a JudgeProcess takes an idle process before it starts one, and gives it back at its end.

        A process that was stopped half-way (too slow, dead, an error in between) is not kept: JudgeProcess ends it.
        """
        start, leave = JudgeProcess._running, JudgeProcess.__exit__

        def running(judge: JudgeProcess) -> subprocess.Popen[bytes]:
            # Several threads may come at once.
            with suppress(queue.Empty):
                while judge._process is None:
                    process = self._idle.get_nowait()
                    judge._process = process if process.poll() is None else None
            return start(judge)

        def give_back(judge: JudgeProcess, *exception: object) -> None:
            if judge._process is not None and not judge._lines and not judge._rest:
                self._idle.put(judge._process)
                judge._process = None
            leave(judge, *exception)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(JudgeProcess, "_running", running)
            patch.setattr(JudgeProcess, "__exit__", give_back)
            yield

    def end(self) -> None:
        """End those that are idle."""
        while not self._idle.empty():
            with self._idle.get() as process:
                process.kill()
