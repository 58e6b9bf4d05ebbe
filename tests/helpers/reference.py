"""A second, naive computation of every score, by the words of the definition; nothing of `stepsift.score` is used.

A token belongs to the step that holds its last character. Step i (from 1) sees the prompt and the k steps before it, or
for a fraction f the max(1, ceil(f (i - 1))) steps before it, and nothing else: one forward pass a step over exactly
those tokens, a log-softmax over the whole vocabulary, all in float64.
"""

import math
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


@dataclass
class Token:
    """What is known of one scored token; `gap` is the distance of the nearest other logit to the token's own."""

    logprob: float
    rank: int
    entropy: float
    brier: float
    gap: float


def load(folder: Path) -> torch.nn.Module:
    """The model in float64, its attention written out."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    return model.double().eval()


def steps_of_tokens(last_char: list[int], spans: list[tuple[int, int]]) -> list[int]:
    """The step (from 0) of each token."""
    owners = []
    for character in last_char:
        for number, (start, end) in enumerate(spans):
            if start <= character < end:
                owners.append(number)
    assert len(owners) == len(last_char)
    return owners


def steps_seen(step: int, window: int | float) -> list[int]:
    """The earlier steps (from 0) that a step (from 0) sees."""
    many = window if window >= 1 else max(1, math.ceil(Decimal(str(window)) * step))
    return [s for s in range(step) if s >= step - many]


def local(model, prompt, response, last_char, spans, window) -> list[Token]:
    """Values of every response token in its window."""
    owners = steps_of_tokens(last_char, spans)
    values: dict[int, Token] = {}
    for step in range(len(spans)):
        seen = steps_seen(step, window)
        context = prompt + [t for t, s in zip(response, owners, strict=True) if s in seen]
        own = [i for i, s in enumerate(owners) if s == step]
        if own:
            values |= dict(zip(own, _forward(model, context, [response[i] for i in own]), strict=True))
    return [values[i] for i in range(len(response))]


def full(model, prompt, response) -> list[Token]:
    """Values of every response token after all that comes before it."""
    return _forward(model, prompt, response)


@torch.no_grad()
def _forward(model, context: list[int], targets: list[int]) -> list[Token]:
    logits = model(input_ids=torch.tensor([context + targets]), use_cache=False).logits[0].double()
    z = logits[len(context) - 1 : len(context) - 1 + len(targets)]
    logp = torch.log_softmax(z, dim=1)
    p = logp.exp()
    own = torch.tensor(targets)[:, None]
    own_z = z.gather(1, own)
    columns = {
        "logprob": logp.gather(1, own)[:, 0],
        "rank": 1 + (z > own_z).sum(1),
        "entropy": -(p * logp).sum(1),
        "brier": 1 - 2 * p.gather(1, own)[:, 0] + (p * p).sum(1),
        "gap": (z - own_z).abs().scatter(1, own, math.inf).amin(1),
    }
    return [Token(*values) for values in zip(*(columns[f.name].tolist() for f in fields(Token)), strict=True)]
