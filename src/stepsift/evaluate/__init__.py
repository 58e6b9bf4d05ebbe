"""Evaluate students with lm-evaluation-harness: every trained one, and the untrained one beside them.

`tasks.py` finds tasks (a folder of local ones, or the harness's by name), `harness.py` lets the harness see a student
through `render()`, `run.py` goes over students and tasks and keeps what was evaluated in a side cache.
"""

from stepsift.evaluate.run import UNTRAINED, Evaluated, evaluate_all
from stepsift.evaluate.tasks import TaskSource, check_tasks, find_tasks, local_tasks

__all__ = ["UNTRAINED", "Evaluated", "TaskSource", "check_tasks", "evaluate_all", "find_tasks", "local_tasks"]
