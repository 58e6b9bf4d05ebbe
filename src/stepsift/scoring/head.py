"""From hidden states to what is kept of a token: log-probability, rank, entropy and Brier score.

Only hidden states at scored positions come here, a block of rows at a time, so that logits never take more than
BLOCK_BYTES. One matrix product a block: a rank needs the target's own logit, to the last bit, before it can count, and
a second product would cost more than a block that is kept. Sums over the vocabulary run in float32 inside a slice
(which stays in the processor's cache) and in float64 across slices.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

BLOCK_BYTES = 64 * 2**20
"""Most that the float32 logits of one block of rows may take (a block has at least one row)."""
SLICE = 16_384
"""Vocabulary entries that are summed at once."""


@dataclass(frozen=True)
class TokenValues:
    """Values of T tokens under the student, each of shape [T]: the unit in which everything else is computed.

    logprob: ln p(y), nats. rank: 1 + entries with a logit strictly greater than the target's. entropy: of the
    next-token distribution, nats. brier: 1 - 2 p(y) + sum over v of p(v)^2, between 0 and 2.
    """

    logprob: np.ndarray
    rank: np.ndarray
    entropy: np.ndarray
    brier: np.ndarray

    @classmethod
    def empty(cls, n_tokens: int) -> "TokenValues":
        """Values to be filled in, NaN until then (rank 0)."""
        nan = [np.full(n_tokens, np.nan) for _ in range(3)]
        return cls(nan[0], np.zeros(n_tokens, dtype=np.int64), nan[1], nan[2])

    def put(self, at: slice, values: "TokenValues") -> None:
        """Fill a span."""
        for mine, theirs in zip(self.columns(), values.columns(), strict=True):
            mine[at] = theirs

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """logprob, rank, entropy, brier."""
        return self.logprob, self.rank, self.entropy, self.brier

    def finite(self) -> bool:
        """Whether every value is a finite number."""
        return bool(np.isfinite(self.logprob).all() and np.isfinite(self.entropy).all())


class Head(Protocol):
    """What gives float32 logits [rows, vocabulary] of its input `x` [rows, ..]."""

    vocabulary: int

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 logits of a block of rows."""
        ...


class SlicedHead:
    """The student's output embedding; `x` are hidden states [rows, width].

    Families that change their logits afterwards are known by their configuration: soft-capping (Gemma 2) and a scale
    (Cohere multiplies, Granite divides). A family that does something else is found out by `engine.pick_head`.
    """

    def __init__(self, model: Any):
        embedding = model.get_output_embeddings()
        config = model.config.get_text_config(decoder=True)
        self.weight, self.bias = embedding.weight, getattr(embedding, "bias", None)
        self.vocabulary = self.weight.shape[0]
        self.cap = getattr(config, "final_logit_softcapping", None)
        self.scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 logits, capped and scaled as the family does."""
        z = torch.nn.functional.linear(x, self.weight, self.bias).float()
        if self.scale != 1.0:
            z *= self.scale
        if self.cap is not None:
            z.div_(self.cap).tanh_().mul_(self.cap)
        return z


class ModelLogits:
    """For families whose logits are not a product that we know: `x` are the model's own logits [rows, vocabulary]."""

    def __init__(self, vocabulary: int):
        self.vocabulary = vocabulary

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """What the model gave, in float32."""
        return x.float()


def token_values(head: Head, x: torch.Tensor, targets: torch.Tensor) -> TokenValues:
    """Values of `targets` [rows] under the rows `x` of the head's input."""
    block = max(1, BLOCK_BYTES // (4 * head.vocabulary))
    parts = [_values(head.logits(x[i : i + block]), targets[i : i + block]) for i in range(0, len(targets), block)]
    return TokenValues(*(np.concatenate(columns) for columns in zip(*(p.columns() for p in parts), strict=True)))


def _values(z: torch.Tensor, targets: torch.Tensor) -> TokenValues:
    """Values of one block of float32 logits [rows, vocabulary]."""
    target = z.gather(1, targets[:, None])
    top = z.amax(dim=1, keepdim=True)
    rank = torch.ones_like(targets)
    total, weighted, squared = (torch.zeros(len(targets), dtype=torch.float64, device=z.device) for _ in range(3))
    for low in range(0, z.shape[1], SLICE):
        part = z[:, low : low + SLICE]
        rank += (part > target).sum(dim=1)
        part = part - top
        p = part.exp()
        total += p.sum(dim=1)
        squared += p.square().sum(dim=1)
        # A logit of minus infinity has p = 0 and adds nothing; minus infinity times 0 would be NaN.
        weighted += part.clamp_(min=-1e4).mul_(p).sum(dim=1)
    log_total = total.log()
    logprob = (target - top).squeeze(1).double() - log_total
    entropy = log_total - weighted / total
    brier = 1 - 2 * logprob.exp() + squared / total**2
    return TokenValues(*(v.cpu().numpy() for v in (logprob.clamp(max=0), rank, entropy.clamp(min=0), brier)))
