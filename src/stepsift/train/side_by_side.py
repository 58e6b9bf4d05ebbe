"""How many students are trained at once: a small one keeps one core busy, and the others would be idle beside it."""

import os
from collections.abc import Sequence

from stepsift import params
from stepsift.student import SMALL_PARAMETERS, StudentSource, count_parameters, pick_device

WORTH_OPERATIONS = 3e11
"""Of a training, 6 for each parameter and token: about half a minute of a core, which makes up for the start of a
process (some ten seconds)."""


def choose_workers(source: StudentSource, settings: params.Train, tokens: Sequence[int]) -> int:
    """Processes for trainings that show so many tokens each, 1 for this one alone.

    As many as there are cores where students are small enough for one thread each (`SMALL_PARAMETERS`), on a CPU, and
    all have enough to learn. So their weights are the same for any number.
    """
    most = min(len(os.sched_getaffinity(0)), len(tokens))
    if most < 2 or settings.launch is not None or pick_device("auto") != "cpu":
        return 1
    n_parameters = count_parameters(source.files)
    if n_parameters is None or n_parameters >= SMALL_PARAMETERS:
        return 1
    return most if 6 * n_parameters * min(tokens) >= WORTH_OPERATIONS else 1
