"""Limits of time and memory for code of others that runs within this process, such as a chat template."""

import contextlib
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_ONE_AT_A_TIME = threading.RLock()


class LimitReachedError(BaseException):
    """The limit of time was reached; no Exception, so that the code that is limited does not take it for its own."""


@contextlib.contextmanager
def limited(cpu_s: float, more_bytes: int) -> Iterator[None]:
    """Let the block take `cpu_s` seconds of this process's CPU time and `more_bytes` of further address space.

    Raises LimitReachedError, or MemoryError. Time is limited in the main thread alone, which alone may handle signals;
    memory where the system knows how much there is (Linux).
    """
    with _ONE_AT_A_TIME, _memory(more_bytes), _time(cpu_s):
        yield


@contextlib.contextmanager
def _time(cpu_s: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _stop)
    try:
        # Again and again: what the first one raises may be lost where Python cannot pass it on.
        signal.setitimer(signal.ITIMER_PROF, cpu_s, cpu_s)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise LimitReachedError


@contextlib.contextmanager
def _memory(more_bytes: int) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = [limit for limit in (used + more_bytes, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
