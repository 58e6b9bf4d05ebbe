"""The part of a curated set that training does not see, by which it is stopped."""

import hashlib

import numpy as np

from stepsift.core.errors import TrainingError
from stepsift.train.examples import Examples

Ids = list[tuple[list[int], list[int]]]
"""Prompt ids and completion ids of each example."""


def split(examples: Examples, share: float) -> tuple[Ids, Ids]:
    """What is trained on and what is held out, both in the order of the set.

    Held out is the share of prompts (at least one) whose hash is smallest, with all their examples: it depends on
    prompts alone, so that sets of other selectors and other seeds hold out the same ones. Raises TrainingError where no
    prompt would be left to train on.
    """
    hashes = [hashlib.sha256(np.asarray(prompt, dtype="<i8").tobytes()).digest() for prompt, _ in examples.ids]
    distinct = sorted(set(hashes))
    n_held = max(1, round(share * len(distinct)))
    if n_held >= len(distinct):
        raise TrainingError(
            f"train.early_stop needs prompts to hold out and others to train on, and the set has {len(distinct)} in "
            "all; set it to null"
        )
    held = set(distinct[:n_held])
    pairs = list(zip(hashes, examples.ids, strict=True))
    return [ids for h, ids in pairs if h not in held], [ids for h, ids in pairs if h in held]
