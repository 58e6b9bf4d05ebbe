"""How many students are trained at once: a small one keeps one core busy, and the others would be idle beside it."""

from collections.abc import Sequence

from stepsift import params
from stepsift.core import processes
from stepsift.student import StudentSource, count_parameters, takes_one_core

WORTH_OPERATIONS = 3e11
"""Of a training, 6 for each parameter and token: about half a minute of a core, which makes up for the start of a
process (some ten seconds)."""


def choose_workers(source: StudentSource, settings: params.Train, tokens: Sequence[int]) -> int:
    """Processes for trainings that show so many tokens each, 1 for this one alone.

    As many as there are cores where a student takes one of them (`takes_one_core`) and all have enough to learn.
    """
    most = min(processes.cores(), len(tokens))
    if most < 2 or settings.launch is not None or not takes_one_core(source):
        return 1
    is_enough = 6 * (count_parameters(source.files) or 0) * min(tokens) >= WORTH_OPERATIONS
    return most if is_enough else 1
