"""Evaluate students with lm-evaluation-harness: every trained one, and the untrained one beside them.

`harness.py` lets the harness see a student through `render()`, `run.py` goes over students and tasks (`stepsift.tasks`)
and keeps what was evaluated in a side cache.
"""

from stepsift.evaluate.run import UNTRAINED, Evaluated, Evaluation, answers_of, evaluate_all, key_settings

__all__ = ["UNTRAINED", "Evaluated", "Evaluation", "answers_of", "evaluate_all", "key_settings"]
