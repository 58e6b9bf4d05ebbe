"""A decoder of our own for the Llama, Qwen 2, Qwen 3 and Gemma 3 families on a CPU, over packed segments.

The arithmetic is the model's; what differs is how much memory it goes through. Projections of one input are one
product, what lies between products is compiled (`pieces.py`), and attention needs no mask (`unmasked.py`). Residual,
norms, attention and the sums of products are float32 whatever the weights are (`products.py`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stepsift.score.forward.attention import Segments
from stepsift.score.forward.pieces import LayerPieces
from stepsift.score.forward.products import Product, product_of
from stepsift.score.forward.unmasked import KeyValue, Unmasked

_ENTRIES = 2**20
"""Attention scores (heads counted) that are worked on at once where a mask is needed: as on every CPU."""


@dataclass(frozen=True)
class Projection:
    """x W^T + b in float32, of the layers that are merged: theirs become views of this one's weight and bias."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    product: Product

    @classmethod
    @torch.no_grad()
    def of(cls, *linear: Any) -> "Projection":
        """The rows of several linear layers, one after another."""
        ends = np.cumsum([x.weight.shape[0] for x in linear]).tolist()
        merged: list[torch.Tensor | None] = []
        for name in ("weight", "bias"):
            parts = [getattr(x, name) for x in linear]
            if any(p is None for p in parts):
                merged.append(None)
                continue
            joined = parts[0].data if len(parts) == 1 else torch.cat(parts)
            for part, end in zip(parts, ends, strict=True):
                part.data = joined[end - len(part) : end]
            merged.append(joined)
        weight, bias = merged
        assert weight is not None
        return cls(weight, bias, product_of(linear[0]))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.product(x, self.weight, self.bias)


@dataclass(frozen=True)
class Layer:
    """Weights of a layer. `heads_norm` [query and key heads, width]; `after_*`: norms of what attention and
    perceptron change, which Gemma has."""

    qkv: Projection
    out: Projection
    gate_up: Projection
    down: Projection
    before_attention: torch.Tensor
    after_attention: torch.Tensor | None
    before_mlp: torch.Tensor
    after_mlp: torch.Tensor | None
    heads_norm: torch.Tensor | None
    kind: str | None
    scaling: float
    window: int | None


@dataclass(frozen=True)
class OwnPass:
    """What a forward pass leaves, as `packed.Passed`; windows are known from the layers, not from masks."""

    hidden: torch.Tensor
    own: dict[int, KeyValue]
    masked: frozenset[int] = frozenset()
    used: frozenset[int | None] = frozenset()


class OwnDecoder:
    """The decoder of a loaded model of a known family, whose weights it shares."""

    def __init__(self, model: Any, pieces: LayerPieces):
        decoder = model.get_decoder()
        config = decoder.config
        self._gemma = config.model_type == "gemma3_text"
        self._pieces = pieces
        self._gated = pieces.gated_gelu if self._gemma else pieces.gated_silu
        self._embed, self._rotary = decoder.embed_tokens, decoder.rotary_emb
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._eps = config.rms_norm_eps
        self._layers = [self._layer(x) for x in decoder.layers]
        self._last_norm = self._scale(decoder.norm)

    def _scale(self, norm: Any) -> torch.Tensor:
        weight = norm.weight.detach().float()
        return 1 + weight if self._gemma else weight

    def _layer(self, layer: Any) -> Layer:
        a, mlp = layer.self_attn, layer.mlp
        heads_norm = None
        if hasattr(a, "q_norm"):
            q, k = (self._scale(x) for x in (a.q_norm, a.k_norm))
            heads_norm = torch.cat([q.expand(self._heads, -1), k.expand(self._key_heads, -1)])
        after, before_mlp = layer.post_attention_layernorm, getattr(layer, "pre_feedforward_layernorm", None)
        return Layer(
            qkv=Projection.of(a.q_proj, a.k_proj, a.v_proj),
            out=Projection.of(a.o_proj),
            gate_up=Projection.of(mlp.gate_proj, mlp.up_proj),
            down=Projection.of(mlp.down_proj),
            before_attention=self._scale(layer.input_layernorm),
            after_attention=self._scale(after) if self._gemma else None,
            before_mlp=self._scale(before_mlp if self._gemma else after),
            after_mlp=self._scale(layer.post_feedforward_layernorm) if self._gemma else None,
            heads_norm=heads_norm,
            kind=getattr(a, "layer_type", None) if self._gemma else None,
            scaling=a.scaling,
            window=getattr(a, "sliding_window", None),
        )

    @torch.inference_mode()
    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, segments: Segments, kept: dict[int, KeyValue] | None
    ) -> OwnPass:
        """One pass over packed tokens `ids` at `positions` [tokens], after the `kept` keys and values."""
        x = torch.nn.functional.embedding(ids, self._embed.weight).float()
        if self._gemma:
            x = x * self._embed.scalar_embed_scale
        attention = Unmasked(segments, max(1, _ENTRIES // self._heads), self._pieces.joined)
        angles = {k: self._angles(x, positions, k) for k in {layer.kind for layer in self._layers}}
        own: dict[int, KeyValue] = {}
        h = self._pieces.normed(x, self._layers[0].before_attention, self._eps)
        next_norms = [*(layer.before_attention for layer in self._layers[1:]), self._last_norm]
        for i, (layer, next_norm) in enumerate(zip(self._layers, next_norms, strict=True)):
            query, own[i] = self._heads_of(layer, h, angles[layer.kind])
            seen = attention(query, own[i], kept.get(i) if kept else None, layer.scaling, layer.window)
            x, h = self._add(x, layer.out(seen.flatten(1)), layer.after_attention, layer.before_mlp)
            x, h = self._add(x, layer.down(self._gated(layer.gate_up(h))), layer.after_mlp, next_norm)
        return OwnPass(h, own)

    def _angles(self, x: torch.Tensor, positions: torch.Tensor, kind: str | None) -> tuple[torch.Tensor, ...]:
        """cos and sin [tokens, 1, width] as the model has them, of one kind of layer."""
        made = self._rotary(x, positions[None], *(() if kind is None else (kind,)))
        return tuple(a[0][:, None].contiguous() for a in made)

    def _heads_of(
        self, layer: Layer, h: torch.Tensor, angles: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, KeyValue]:
        """Queries, and keys and values, each [tokens, heads, width]."""
        heads = layer.qkv(h).unflatten(1, (self._heads + 2 * self._key_heads, -1))
        turned, value = heads.split([self._heads + self._key_heads, self._key_heads], dim=1)
        if layer.heads_norm is None:
            turned = self._pieces.rotated(turned, *angles)
        else:
            turned = self._pieces.normed_rotated(turned, layer.heads_norm, self._eps, *angles)
        query, key = turned.split([self._heads, self._key_heads], dim=1)
        return query, (key, value)

    def _add(
        self, x: torch.Tensor, change: torch.Tensor, after: torch.Tensor | None, norm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The residual after a change, and what the next norm makes of it."""
        if after is None:
            return self._pieces.added(x, change, norm, self._eps)
        return self._pieces.normed_added(x, change, after, norm, self._eps)
