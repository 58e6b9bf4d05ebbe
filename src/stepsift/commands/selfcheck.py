"""The same scores the obvious way: one forward pass a step, all logits, log-softmax over the whole vocabulary.

For `stepsift check --student`, which compares the engine with this on the user's own model. It shares nothing with the
engine but the definition: it finds each step's window anew, token by token, and never caches or batches.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch


@torch.inference_mode()
def local_logprobs(
    model: Any, prompt: list[int], response: list[int], step_of_token: list[int], n_steps: int, window: int | float
) -> np.ndarray:
    """log p of each response token in its window, nats, shape [tokens]; NaN never, one forward pass a step."""
    out = np.full(len(response), np.nan)
    for step in range(n_steps):
        mine = [t for t, s in enumerate(step_of_token) if s == step]
        if not mine:
            continue
        seen = window if window >= 1 else max(1, math.ceil(Fraction(str(window)) * step))
        context = [response[t] for t, s in enumerate(step_of_token) if step - seen <= s < step]
        out[mine] = _logprobs(model, prompt + context, [response[t] for t in mine])
    return out


@torch.inference_mode()
def full_logprobs(model: Any, prompt: list[int], response: list[int]) -> np.ndarray:
    """log p of each response token after the whole prompt and response so far, nats, shape [tokens]."""
    return _logprobs(model, prompt, response)


def _logprobs(model: Any, context: list[int], targets: list[int]) -> np.ndarray:
    ids = torch.tensor([context + targets], device=next(model.parameters()).device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(context) - 1 : -1].double()
    picked = torch.log_softmax(logits, dim=-1).gather(1, ids[0, len(context) :, None])
    return picked[:, 0].cpu().numpy()
