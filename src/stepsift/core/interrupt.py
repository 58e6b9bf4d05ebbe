"""Being asked to end: the work in hand is finished and kept, then the run stops."""

import signal
from types import FrameType, TracebackType
from typing import Any

from stepsift.core.errors import Stopped


class Interrupt:
    """While the block runs, SIGTERM and Ctrl-C set `asked` and nothing else; a second Ctrl-C ends the run at once.

    Only the main thread may handle signals; elsewhere the block changes nothing.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._before[number] = signal.signal(number, self._ask)
            except ValueError:  # not the main thread
                break
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stopped(self, text: str) -> Stopped:
        """What to raise: `text` says what was kept; the exit code is the signal's."""
        return Stopped(f"stopped: {text}", 128 + (self.asked or signal.SIGTERM))

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number)
