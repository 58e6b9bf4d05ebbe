"""Train the student: one model for each selector and seed, on exactly the ids that scoring saw.

`examples.py` turns a curated set into ids, `order.py` says what is shown when, `fit.py` is the trainer (TRL), `run.py`
goes over selectors and seeds and keeps what was trained in a side cache.
"""

from stepsift.train.examples import Examples, load_examples
from stepsift.train.run import (
    Trained,
    TrainedStudent,
    Training,
    TrainResult,
    key_parts,
    most_tokens,
    train_all,
    train_student,
)

__all__ = [
    "Examples",
    "TrainResult",
    "Trained",
    "TrainedStudent",
    "Training",
    "key_parts",
    "load_examples",
    "most_tokens",
    "train_all",
    "train_student",
]
