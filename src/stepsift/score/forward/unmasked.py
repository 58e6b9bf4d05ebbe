"""Attention of packed segments on a CPU without a mask and without a copy of the prompt's keys for each of them.

A segment sees its prompt's kept keys, all of them, and its own causally. Each is one call of PyTorch's fused kernel,
which also gives the logarithm of each query's sum of weights; by these two the outputs are joined, exactly. Where a
sliding window hides a key, masks are needed after all (`attention.Padded`).
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch

from stepsift.score.forward.attention import Padded, Segments, spans

Joined = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
KeyValue = tuple[torch.Tensor, torch.Tensor]


class Unmasked:
    """Attention of one forward pass, made from its segments; `joined` as in `pieces.py`, `entries` as for Padded."""

    def __init__(self, segments: Segments, entries: int, joined: Joined):
        self._segments, self._entries, self._joined = segments, entries, joined
        self._longest = int(segments.seen.max())
        # Segments of one length that stand one after another are one call.
        self._runs = [(n, len(list(run))) for n, run in itertools.groupby(segments.own.tolist())]
        self._of_prompt = _by_prompt(segments)
        self._padded: Padded | None = None

    def __call__(
        self, query: torch.Tensor, own: KeyValue, kept: KeyValue | None, scaling: float, window: int | None
    ) -> torch.Tensor:
        """Outputs [tokens, heads, width] of queries [tokens, heads, width] of the packed tokens, whose own keys and
        values are `own`, before them those of the `kept` tokens; `window` as in `attention.Attention`."""
        if window is not None and self._longest > window:
            key, value = own if kept is None else (torch.cat(pair) for pair in zip(kept, own, strict=True))
            if self._padded is None:
                self._padded = Padded(self._segments, query.device, self._entries)
            return self._padded(query, key, value, scaling, window, None)
        out, log_sum = self._own(query, own, scaling)
        if kept is None:
            return out
        for at, keys in self._of_prompt:
            key, value = (x[keys][None] for x in kept)
            if at is None:
                return self._joined(out, log_sum, *_flash(query[None], key, value, scaling, causal=False))
            of_prompt = _flash(query[at][None], key, value, scaling, causal=False)
            out[at] = self._joined(out[at], log_sum[at], *of_prompt)
        return out

    def _own(self, query: torch.Tensor, own: KeyValue, scaling: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs and log-sums over each segment's own keys."""
        parts, first = [], 0
        for length, n in self._runs:
            rows = slice(first, first + length * n)
            first = rows.stop
            q, k, v = (x[rows].unflatten(0, (n, length)) for x in (query, *own))
            parts.append(_flash(q, k, v, scaling, causal=True))
        if len(parts) == 1:
            return parts[0]
        return torch.cat([out for out, _ in parts]), torch.cat([log_sum for _, log_sum in parts])


def _by_prompt(segments: Segments) -> list[tuple[torch.Tensor | None, slice]]:
    """For each prompt its packed tokens (None: all there are), and its kept tokens; none for an empty one."""
    of = np.unique(np.stack([segments.shared_start, segments.shared], axis=1), axis=0, return_inverse=True)
    prompts, number = of[0].tolist(), of[1].ravel()
    if len(prompts) == 1 and prompts[0][1]:
        return [(None, slice(prompts[0][0], sum(prompts[0])))]
    found: list[tuple[torch.Tensor | None, slice]] = []
    for i, (start, shared) in enumerate(prompts):
        if shared:
            mine = number == i
            at = torch.from_numpy(spans(segments.starts[mine], segments.own[mine]))
            found.append((at, slice(start, start + shared)))
    return found


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, *, causal: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and log-sums [rows x tokens, heads, ..] of [rows, tokens, heads, width]; fewer key heads are shared."""
    out, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        *(x.transpose(1, 2) for x in (query, key, value)), 0.0, causal, scale=scaling
    )
    return out.transpose(1, 2).flatten(0, 1), log_sum.transpose(1, 2).flatten(0, 1)
