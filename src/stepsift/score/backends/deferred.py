"""A backend that starts when it is first given work, so that a run which finds all in the cache loads no student."""

from collections.abc import Callable, Iterator

from stepsift.score.backends.local import Backend, Done, ModelSize
from stepsift.score.forward.request import Request


class DeferredBackend:
    """What `start` makes of the first requests, or of none when its `size` is asked for first, on what `device` says.

    Both raise what `start` raises.
    """

    def __init__(self, start: Callable[[list[Request]], Backend], device: str):
        self.device = device
        self._start = start
        self._started: Backend | None = None

    @property
    def size(self) -> ModelSize:
        """The student's."""
        return self._backend([]).size

    def score(self, requests: list[Request]) -> Iterator[Done]:
        """Yield the place in `requests` and the result of each, as they are done."""
        if requests:
            yield from self._backend(requests).score(requests)

    def close(self) -> None:
        """Give up what was started."""
        if self._started is not None:
            self._started.close()

    def _backend(self, requests: list[Request]) -> Backend:
        if self._started is None:
            self._started = self._start(requests)
        return self._started
