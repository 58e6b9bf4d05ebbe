"""How long and how far, for people: words for seconds, and the progress of long work."""

import logging
import sys
import threading
import time
from typing import Any, Self

log = logging.getLogger(__name__)

EVERY_S = 15.0
"""Seconds between two lines of one piece of work."""


def duration(seconds: float) -> str:
    """Seconds for people: '40 s', '12 min', '3 h 20 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


_tells = True


def leave_to_parent() -> None:
    """In a worker process: no bar and no line about how far it is, which its parent says."""
    global _tells  # noqa: PLW0603 - of this process, like the logging that it turns down
    _tells = False
    logging.disable(logging.INFO)
    from tqdm import tqdm

    # tqdm's own lock is a semaphore, of which Python complains where a worker that is ended leaves one behind.
    tqdm.set_lock(threading.RLock())


class ProgressBar:
    """How far long work is: a bar where standard error is a terminal, else a line in the log every EVERY_S seconds.

    Use as a context manager.
    """

    def __init__(self, total: int):
        self.total = total
        self._bar: Any = None
        self._last_s = time.monotonic()

    def __enter__(self) -> Self:
        if _tells and sys.stderr.isatty():
            from tqdm import tqdm

            layout = "{percentage:3.0f} % {bar:16} {desc}"
            self._bar = tqdm(total=self.total, bar_format=layout, leave=False, file=sys.stderr)
        return self

    def update(self, done: int, line: str) -> bool:
        """`done` of `total` are done, which `line` says in words; True where EVERY_S seconds went by since the last."""
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_description_str(line, refresh=False)
            self._bar.update(0)
        now = time.monotonic()
        if now - self._last_s < EVERY_S:
            return False
        self._last_s = now
        if self._bar is None:
            log.info("%s", line)
        return True

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
