"""Evaluate students with lm-evaluation-harness: every trained one, and the untrained one beside them.

`harness.py` lets the harness see a student through `render()`, `run.py` goes over students and tasks (`stepsift.tasks`)
and keeps what was evaluated in a side cache.
"""

from stepsift.evaluate.run import UNTRAINED, Evaluated, evaluate_all

__all__ = ["UNTRAINED", "Evaluated", "evaluate_all"]
