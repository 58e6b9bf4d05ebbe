"""Time settings against each other in turns, and say whether the fastest is faster beyond the noise.

Each turn times every setting once, so that whatever else the machine does meets them all alike; after it those that are
clearly behind drop out. What is compared in the end are ratios within a turn. Knows neither a student nor a device.
"""

import math
import statistics
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stepsift.core.errors import ScoringError

T = TypeVar("T", bound=Hashable)

TURNS = 25
"""Most turns, however much time is left."""
KEPT = (1.5, 1.25, 1.15)
"""After the first, second and every further turn a setting stays if its median is within this of the best one's."""
SMALLEST_GAIN = 0.03
"""Less is not worth scoring everything once more, however surely it was measured."""


class ImpossibleError(ScoringError):
    """A setting cannot be used: the student cannot be packed, or there is not enough memory."""


def time_in_turns(
    settings: list[T], run: Callable[[T], float], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> tuple[dict[T, list[float]], dict[T, str]]:
    """Time settings in turns for about so many seconds: seconds by setting and turn, and why some could not run.

    `run` does the work once and returns the seconds; it raises ImpossibleError for a setting that cannot be used.
    The first setting is in every turn. A turn that would not end in time is not begun, but for the first one, which
    stops where the time is up.
    """
    start = clock()
    times: dict[T, list[float]] = {}
    impossible: dict[T, str] = {}
    racing = list(settings)
    for turn in range(TURNS):
        spent = clock() - start
        if turn and spent + sum(times[s][-1] for s in racing) > seconds:
            break
        for setting in racing:
            if turn == 0 and times and clock() - start > seconds:
                break
            try:
                times.setdefault(setting, []).append(run(setting))
            except ImpossibleError as e:
                times.pop(setting, None)
                impossible[setting] = str(e)
        medians = {s: statistics.median(t) for s, t in times.items() if s in racing}
        if not medians:
            break
        limit = KEPT[min(turn, len(KEPT) - 1)] * min(medians.values())
        racing = [s for s in racing if s in medians and (s == settings[0] or medians[s] <= limit)]
        # The other way round, so that what comes early in one turn comes late in the next.
        racing.reverse()
    return times, impossible


@dataclass(frozen=True)
class Fastest(Generic[T]):
    """The fastest setting, its gain over the present one as a ratio of speeds (1: none), and how sure that is.

    `gain` is the median ratio over the n turns that both were in. `noise` is twice its standard error, as for a normal
    distribution with these quartiles: 2 * 1.253 / 1.349 * (q3 - q1) / sqrt(n); 1 for a single turn, which says little.
    """

    best: T
    gain: float
    noise: float

    @property
    def keep(self) -> bool:
        """Whether the gain is too small, or within the noise."""
        return self.gain - 1 <= max(SMALLEST_GAIN, self.noise)


def judge(times: dict[T, list[float]], now: T) -> Fastest[T]:
    """Compare what was in the most turns with the present setting, turn by turn.

    Raises ScoringError if the present setting could not run and no other could.
    """
    if not times:
        raise ScoringError(
            "not one setting can score these traces here; try a smaller student or score.dtype: bfloat16"
        )
    most = max(map(len, times.values()))
    best = min((s for s in times if len(times[s]) == most), key=lambda s: statistics.median(times[s]))
    if now not in times:
        return Fastest(best, float("inf"), 0.0)
    ratios = [time_now / own for time_now, own in zip(times[now], times[best], strict=False)]
    noise = 1.0
    if len(ratios) > 1:
        low, _, high = statistics.quantiles(ratios, n=4)
        noise = 2 * 1.253 / 1.349 * (high - low) / math.sqrt(len(ratios))
    return Fastest(best, statistics.median(ratios), noise)
