"""Mathematical answers: math-verify, in a process that can be killed.

sympy can compute for hours or fill the memory on ten characters (10^10^10), and an alarm within the process does not
always stop it. So one worker process lives on over all answers; when an answer takes too long it is killed, and
the next answer starts another. The worker is a plain program (no multiprocessing): it works from any script.
"""

import contextlib
import json
import selectors
import subprocess
import sys
from pathlib import Path

from stepsift.verify.readings import formulas

WORKER = Path(__file__).with_name("math_worker.py")
START_TIMEOUT_S = 120.0
"""Seconds that the worker may take to import sympy on a busy machine."""


class MathWorker:
    """The worker process, started when it is first needed; use as a context manager."""

    def __init__(self, timeout_s: float):
        self.timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "MathWorker":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def judge(self, gold: str, answer: str) -> str:
        r"""correct, wrong, timeout, or unparsed where either cannot be read or the worker died of it.

        Any reading of one side may match any of the other: 50% is 50 and 0.5. Two percentages are compared as they
        stand. math-verify reads a bare list as a set: \boxed{1,3,5} is correct for 5,3,1.
        """
        wanted = formulas(gold, gold)
        found = formulas(answer, gold)
        if not wanted or not found:
            return "unparsed"
        if len(wanted) > 1 and len(found) > 1:
            # Otherwise 5000% would be as good as 50.
            wanted, found = wanted[:1], found[:1]
        process = self._running()
        # The worker's own alarm is for the case that this process dies first.
        job = json.dumps([wanted, found, 2 * self.timeout_s + 10])
        reply = self._exchange(process, job, self.timeout_s)
        if reply is None:
            self._stop()
            return "timeout"
        if reply not in ("correct", "wrong", "unparsed"):
            self._stop()
            return "unparsed"
        return reply

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            # -P keeps the worker's own folder off its path: there is a math.py in it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if self._exchange(self._process, None, START_TIMEOUT_S) != "ready":
                self._stop()
                raise RuntimeError(f"the process that checks mathematical answers does not start; run {WORKER} by hand")
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], job: str | None, timeout_s: float) -> str | None:
        """Send a line and return the reply; None when it takes too long, "" when the worker died."""
        assert process.stdin is not None and process.stdout is not None
        try:
            if job is not None:
                process.stdin.write(job.encode() + b"\n")
                process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                if not selector.select(timeout_s):
                    return None
            return process.stdout.readline().decode().strip()
        except BrokenPipeError:
            return ""

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was still to be sent has no reader any more.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process = None
