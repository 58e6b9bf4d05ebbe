"""How an answer is generated: greedily, or drawn in a way that does not depend on what is answered beside it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lm_eval.models.utils import normalize_gen_kwargs
from transformers import LogitsProcessor

from stepsift import params

_SAMPLING = ("do_sample", "temperature", "top_p", "top_k")


@dataclass(frozen=True)
class How:
    """Generation arguments of a task, with what params.yaml sets over them.

    `until`: stop strings; `most`: longest answer in tokens; `temperature`: None is greedy; `top_k`: 0 is all tokens;
    `others`: what else the task sets, for the engine.
    """

    until: list[str]
    most: int
    temperature: float | None = None
    top_p: float = 1.0
    top_k: int = 0
    others: dict[str, Any] = field(default_factory=dict)


def how(arguments: dict[str, Any], settings: params.Evaluate) -> How:
    """Read a request's generation arguments; a temperature of params.yaml replaces what a task says of sampling."""
    known = normalize_gen_kwargs(arguments, settings.max_new_tokens)
    temperature, top_p, top_k = None, 1.0, 0
    if settings.temperature is not None:
        temperature, top_p = settings.temperature, settings.top_p
    elif known.get("do_sample") and known.get("temperature"):
        temperature = float(known["temperature"])
        top_p, top_k = float(known.get("top_p") or 1.0), int(known.get("top_k") or 0)
    others = {k: v for k, v in known.items() if k not in (*_SAMPLING, "until", "max_gen_toks")}
    return How(known["until"], known["max_gen_toks"], temperature, top_p, top_k, others)


def uniform(key: str, position: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments: 53 bits of their SHA-256."""
    digest = hashlib.sha256(f"{position} {key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


class Draw(LogitsProcessor):
    """Leaves each row one token, drawn by inversion: the first at which the distribution function exceeds u.

    u is `uniform` of the row's key and of how many tokens the answer has: the same answer comes out in any batch, but
    for the last bits of logits. `lengths`: tokens of each row's answer before position `width`.
    """

    def __init__(self, how: How, keys: Sequence[str], lengths: Sequence[int], width: int):
        self.how, self.keys, self.lengths, self.width = how, keys, lengths, width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` [rows, vocabulary] to the same with -inf for all tokens but the drawn one."""
        probabilities = self._kept(torch.softmax(scores.double() / (self.how.temperature or 1.0), dim=-1))
        step = input_ids.shape[1] - self.width
        drawn = [uniform(key, n + step) for key, n in zip(self.keys, self.lengths, strict=True)]
        below = probabilities.cumsum(dim=-1)
        all_of_it = below[:, -1:]
        u = torch.tensor(drawn, dtype=torch.float64, device=scores.device)[:, None] * all_of_it
        # Rounded up to the whole it would be beyond every token.
        u = u.minimum(all_of_it.nextafter(torch.zeros_like(all_of_it)))
        token = torch.searchsorted(below, u, right=True)
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)

    def _kept(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Without tokens beyond top-k, and beyond the smallest set that holds top-p."""
        if self.how.top_k == 0 and self.how.top_p >= 1:
            return probabilities
        ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
        out = ordered.cumsum(dim=-1) - ordered >= self.how.top_p
        if self.how.top_k:
            out[:, self.how.top_k :] = True
        return torch.zeros_like(probabilities).scatter_(1, tokens, ordered.masked_fill(out, 0.0))
