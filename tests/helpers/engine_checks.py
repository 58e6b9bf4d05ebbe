"""The engine's values beside those of the reference."""

import numpy as np
from transformers import LlamaForCausalLM

from helpers import reference
from stepsift.score.forward.request import TokenValues

TOLERANCE = 1e-4
"""Nats per token."""
WINDOWS = (1, 4, 0.25)


def largest_difference(values: TokenValues, tokens: list[reference.Token]) -> float:
    """The largest distance to the reference in nats; ranks must be equal unless a logit lies beside the token's own."""
    worst = 0.0
    for name in ("logprob", "entropy", "brier"):
        theirs = np.array([getattr(t, name) for t in tokens])
        worst = max(worst, float(np.abs(getattr(values, name) - theirs).max()))
    clear = np.array([t.gap > TOLERANCE for t in tokens])
    assert clear.mean() > 0.9 or len(tokens) == 1
    assert (values.rank[clear] == np.array([t.rank for t in tokens])[clear]).all()
    return worst


class RootedLlama(LlamaForCausalLM):
    """A family that changes its logits in a way that no configuration names."""

    def forward(self, *args, **kwargs):
        out = super().forward(*args, **kwargs)
        out.logits = out.logits.sign() * out.logits.abs().sqrt()
        return out
