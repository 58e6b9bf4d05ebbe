"""The process in which answers are judged, and which can be killed.

sympy can compute for hours or fill the memory on ten characters (10^10^10), an alarm within the process does not always
stop it, and a text can be made that takes a pattern seconds. So one worker process lives on over all answers; when one
takes too long it is killed, and the next answer starts another. The worker is a plain program (no multiprocessing): it
works from any script. Jobs are sent many at a time, so that the process never waits for its next.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import stepsift

WORKER = Path(__file__).with_name("worker.py")
START_TIMEOUT_S = 120.0
"""Seconds that the worker may take to import sympy on a busy machine."""

_MANY, _WAIT_S = 32, 0.005
"""While more replies are due than this, so many seconds of them are read at once."""

Job = tuple[Any, ...]
"""(task of worker.TASKS, its arguments ..)"""


class JudgeProcess:
    """The worker process, started when it is first needed; use as a context manager."""

    def __init__(self, timeout_s: float):
        """`timeout_s`: seconds that one job may take."""
        self.timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: deque[bytes] = deque()
        self._rest = b""

    def __enter__(self) -> "JudgeProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def ask(self, *job: Any) -> Any:
        """The reply to one job; None where it took longer than the time limit, "died" where the worker died of it."""
        return self.ask_all([job])[0]

    def ask_all(self, jobs: Sequence[Job]) -> list[Any]:
        """The replies to many jobs, each as `ask` gives it."""
        replies: list[Any] = []
        while len(replies) < len(jobs):
            replies += self._some(jobs[len(replies) :])
        return replies

    def _some(self, jobs: Sequence[Job]) -> list[Any]:
        """Replies up to the first job that takes too long or kills the worker."""
        process = self._running()
        assert process.stdin is not None
        # The worker's own alarm is for the case that this process dies first.
        lines = b"".join(json.dumps([job[0], 2 * self.timeout_s + 10, *job[1:]]).encode() + b"\n" for job in jobs)
        sender = threading.Thread(target=_send, args=(process.stdin, lines), daemon=True)
        sender.start()
        replies: list[Any] = []
        try:
            for left in range(len(jobs), 0, -1):
                line = self._line(process, self.timeout_s, left)
                if not line:
                    replies.append(None if line is None else "died")
                    self._stop()
                    break
                replies.append(json.loads(line))
        finally:
            if len(replies) < len(jobs):
                self._stop()
            sender.join()
        return replies

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            # The package's own folder, so that it is found however this process came to it; -P keeps the worker's
            # folder off its path.
            path = os.pathsep.join([str(Path(stepsift.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
            )
            if self._line(self._process, START_TIMEOUT_S, 1) != b'"ready"':
                self._stop()
                raise RuntimeError(f"the process that checks answers does not start; run {WORKER} by hand")
        return self._process

    def _line(self, process: subprocess.Popen[bytes], timeout_s: float, n_expected: int) -> bytes | None:
        """The next line that the worker writes; None when it takes too long, b"" when the worker died."""
        assert process.stdout is not None
        if self._lines:
            return self._lines.popleft()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not self._lines:
                if not selector.select(timeout_s):
                    return None
                if n_expected > _MANY:
                    # Woken for every line, this thread would take the interpreter from others all the time.
                    time.sleep(_WAIT_S)
                piece = os.read(process.stdout.fileno(), 65_536)
                if not piece:
                    return b""
                *lines, self._rest = (self._rest + piece).split(b"\n")
                self._lines.extend(lines)
        return self._lines.popleft()

    def _stop(self) -> None:
        self._lines.clear()
        self._rest = b""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was still to be sent has no reader any more.
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()
        self._process = None


def _send(pipe: Any, lines: bytes) -> None:
    # A worker that died is found by the reader.
    with contextlib.suppress(OSError, ValueError):
        pipe.write(lines)
        pipe.flush()
