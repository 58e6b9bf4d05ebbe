"""Train the student: one model for each selector and seed, on exactly the ids that scoring saw.

`examples.py` turns a curated set into ids, `fit.py` is the trainer (TRL), `run.py` goes over selectors and seeds and
keeps what was trained in a side cache.
"""

from stepsift.train.examples import Examples, load_examples
from stepsift.train.run import Trained, TrainResult, train_all

__all__ = ["Examples", "TrainResult", "Trained", "load_examples", "train_all"]
