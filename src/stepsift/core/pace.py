"""How long and how far, for people: words for seconds, and something said once in a while."""

import logging
import sys
import time

log = logging.getLogger(__name__)

EVERY_S = 15.0
"""Between two things that are said of one piece of work."""


def duration(seconds: float) -> str:
    """Seconds for people: '40 s', '12 min', '3 h 20 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Pulse:
    """Says of long work how far it is: in lines, where there is no terminal to show a bar on."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()

    def due(self) -> bool:
        """Whether EVERY_S have gone by since it was due last, or since the beginning."""
        now = time.monotonic()
        if now - self._said_s < EVERY_S:
            return False
        self._said_s = now
        return True

    def say(self, line: str) -> None:
        """Log the line if one is due."""
        if not sys.stderr.isatty() and self.due():
            log.info("%s", line)
