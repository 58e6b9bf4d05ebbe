"""Made-up traces whose steps are as long as those of real ones; ids are random."""

from dataclasses import dataclass

import numpy as np

from stepsift.score.forward.request import Request
from stepsift.score.forward.windows import local_passes

STEP_TOKENS = (4, 6, 8, 10, 12, 14, 17, 20, 25, 35, 47)
"""Quantiles of tokens per step of long mathematical traces (400 of them, our splitter; docs/BENCH.md), from 5 % to
99 %."""
WINDOW = 4


@dataclass(frozen=True)
class Pool:
    """How many traces, of how many tokens, for how many prompts of how many tokens."""

    traces: int
    tokens: int
    prompts: int
    prompt_tokens: int


def bounds(n_tokens: int, draw: np.random.Generator) -> np.ndarray:
    """First token of each step, and the number of tokens at the end."""
    steps = [0]
    while steps[-1] < n_tokens:
        steps.append(min(n_tokens, steps[-1] + int(draw.choice(STEP_TOKENS))))
    return np.array(steps)


def requests(pool: Pool, vocabulary: int, local: bool, full: bool, window: int | float = WINDOW) -> list[Request]:
    """The same requests at every call."""
    draw = np.random.default_rng(0)
    prompts = [draw.integers(1, vocabulary, pool.prompt_tokens).tolist() for _ in range(pool.prompts)]
    made = []
    for i in range(pool.traces):
        response = draw.integers(1, vocabulary, pool.tokens).tolist()
        passes = local_passes(bounds(pool.tokens, draw), window) if local else []
        made.append(Request(prompts[i % pool.prompts], response, passes, full))
    return made
