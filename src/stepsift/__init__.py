"""stepsift: curate reasoning-distillation data for one student by Local Average Log Probability (LALP).

Public are `Scorer`, `read`, `rank` and `select` (docs/LIBRARY.md); everything below may change between versions:

    import stepsift

    traces = stepsift.read("traces/")
    scorer = stepsift.Scorer("student/")
    scores = scorer.score("What is 7 * 6?", ["It is 42.", "7 * 6 = 42. So 42."])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepsift.library import Scorer, rank, read, select

__version__ = "0.1.0"
__all__ = ["Scorer", "rank", "read", "select"]


def __getattr__(name: str) -> Any:
    # Every stage imports this file: what is public is imported by whoever asks for it.
    if name == "select":
        # The package of this name is what `import stepsift.select` gives; it can be called.
        return import_module("stepsift.select")
    if name in __all__:
        return getattr(import_module("stepsift.library"), name)
    raise AttributeError(f"module 'stepsift' has no attribute '{name}'")
