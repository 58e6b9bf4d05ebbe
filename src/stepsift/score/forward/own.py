"""Packed forward passes through the decoder of our own (`decoder.py`), and when it is used.

What decides is known before a student is loaded (`decoder_used`): its configuration, the settings, the device and the
compiler. So `numerics` tells which way a value was made, and loading finds out no more than an error.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stepsift.score.forward.attention import Segments, spans
from stepsift.score.forward.decoder import OwnDecoder, OwnPass
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.head import SlicedHead, token_values
from stepsift.score.forward.numerics import batching
from stepsift.score.forward.packed import UNSTEADY, KeysValues, PackedEngine, rotary_types
from stepsift.score.forward.pieces import LayerPieces, compiler
from stepsift.score.forward.products import FLOAT32, ROUNDED, logits_of, way
from stepsift.score.forward.request import Request, Scores, TokenValues

if TYPE_CHECKING:
    from stepsift import params

log = logging.getLogger(__name__)

FAMILIES = {"llama": "silu", "qwen2": "silu", "qwen3": "silu", "gemma3_text": "gelu_pytorch_tanh"}
"""Model types that `decoder.py` knows, and the activation of their perceptron."""
VERSION = 1
"""Raised whenever a change to the decoder could move a score by as much as its last bit."""


def decoder_used(config: Any, settings: "params.Score", device: str) -> str | None:
    """What `numerics` calls the decoder of ours where a model of this configuration is scored by it; None: it is not.

    It names what was compiled by, and what products round to bfloat16 (where the processor has units for that), since
    both may move a score.
    """
    if settings.decoder != "own" or not is_known(config, settings, device):
        return None
    if (name := compiler()) is None:
        log.warning("score.decoder is 'own', but there is no C++ compiler here: the student's own decoder is used")
        return None
    return f"own {VERSION}, {name}, {way(getattr(torch, settings.dtype))} products"


def is_known(config: Any, settings: "params.Score", device: str) -> bool:
    """Whether the decoder of ours knows models of this configuration, in this precision and on this device."""
    return (
        device == "cpu"
        and settings.dtype != "float16"
        and config.model_type in FAMILIES
        and getattr(config, "hidden_activation", getattr(config, "hidden_act", None)) == FAMILIES[config.model_type]
        and getattr(config, "attn_logit_softcapping", None) is None
        and not getattr(config, "use_bidirectional_attention", False)
        and not rotary_types(config) & UNSTEADY
    )


def make_engine(model: Any, settings: "params.Score", device: str, batch_tokens: int) -> Engine | PackedEngine:
    """The engine that these settings ask for, of a loaded model; raises ScoringError where it cannot be used."""
    if decoder_used(model.config, settings, device) is None:
        return (PackedEngine if batching(settings, device) == "packed" else Engine)(model, batch_tokens)
    log.info("compiling the decoder with %s, which takes a minute or two the first time", compiler())
    start = time.perf_counter()
    engine = OwnEngine(model, batch_tokens, LayerPieces.compiled())
    log.info("compiled in %.0f s", time.perf_counter() - start)
    return engine


class OwnEngine(PackedEngine):
    """PackedEngine with the decoder of our own.

    Called with one request at a time its values depend on that trace alone. What needs a whole context longer than the
    budget is fed in chunks. Raises ScoringError where the decoder does not give the model's own values.
    """

    _way_out = "by the decoder of ours: {}; set score.decoder: model"

    def __init__(self, model: Any, batch_tokens: int, pieces: LayerPieces):
        self._pieces = pieces
        self._own = OwnDecoder(model, pieces)
        self._kept: KeysValues = {}
        self._places: dict[tuple[int, ...], slice] = {}
        super().__init__(model, batch_tokens)  # compares them with the model's own
        self._head = Float32Head(model)
        # Compiles the last piece here and not in the first batch.
        self.values(torch.ones(8, self._head.weight.shape[1]), np.arange(8) % self.trace.vocabulary)

    @torch.inference_mode()
    def score_many(self, requests: Sequence[Request]) -> list[Scores]:
        try:
            return super().score_many(requests)
        finally:
            self._kept, self._places = {}, {}

    @torch.inference_mode()
    def values(self, hidden: torch.Tensor, targets: np.ndarray) -> TokenValues:
        return token_values(self._head, hidden, self._put(targets), self._pieces.slice_sums)

    def keep(self, contexts: list[np.ndarray]) -> KeysValues:
        # Full passes in chunks begin with them.
        self._kept = super().keep(contexts)
        ends = np.cumsum([len(c) for c in contexts]).tolist()
        self._places = {tuple(c.tolist()): slice(e - len(c), e) for c, e in zip(contexts, ends, strict=True)}
        return self._kept

    def forward(self, ids: np.ndarray, positions: np.ndarray, segments: Segments, kept: KeysValues | None) -> OwnPass:
        return self._own.forward(self._put(ids), self._put(positions), segments, kept)

    def long_pass(self, request: Request) -> TokenValues:
        prompt = request.prompt
        ids = np.array([*prompt, *request.response[:-1]], dtype=np.int64)
        seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        begin, at = 0, self._places.get(tuple(prompt[:-1]))
        if at is not None and at.stop > at.start:
            begin = len(prompt) - 1
            seen = {i: self._room([x[at] for x in pair], len(ids)) for i, pair in self._kept.items()}
        out = TokenValues.empty(len(request.response))
        while begin < len(ids):
            end = min(begin + self.batch_tokens, len(ids))
            own = np.array([end - begin])
            segments = Segments(own, np.array([begin]), np.array([0]), begin)
            kept = {i: (k[:begin], v[:begin]) for i, (k, v) in seen.items()}
            passed = self.forward(ids[begin:end], spans(np.array([begin]), own), segments, kept or None)
            for i, pair in passed.own.items():
                if i not in seen:
                    seen[i] = self._room([x[:0] for x in pair], len(ids))
                for room, x in zip(seen[i], pair, strict=True):
                    room[begin:end] = x
            first = max(begin, len(prompt) - 1)
            if first < end:
                scored = slice(first - len(prompt) + 1, end - len(prompt) + 1)
                out.put(scored, self.values(passed.hidden[first - begin :], np.array(request.response[scored])))
            begin = end
        return out

    def expected(self, row: np.ndarray) -> tuple[torch.Tensor, float]:
        with in_float32(self.decoder):
            exact, tolerance = super().expected(row)[0], 1e-3
        if (products := way(self.model.dtype)) != FLOAT32:
            tolerance = 0.1
        if products == ROUNDED:
            # Some students lose more in bfloat16, and then the model's own code does too.
            theirs = super().expected(row)[0].float()
            tolerance = max(tolerance, float((theirs - exact).abs().mean() / exact.abs().mean()))
        return exact, tolerance

    @staticmethod
    def _room(begun: list[torch.Tensor], n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the first tokens, with room for those of `n` in all."""
        both = [x.new_empty((n, *x.shape[1:])) for x in begun]
        for room, x in zip(both, begun, strict=True):
            room[: len(x)] = x
        return both[0], both[1]


class Float32Head(SlicedHead):
    """The output embedding, with float32 hidden states and logits whatever its own precision."""

    def __init__(self, model: Any):
        super().__init__(model)
        self._product = logits_of(model.get_output_embeddings())

    def product(self, x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        if weight.dtype == torch.float32:
            return super().product(x, weight, out)
        return self._product(x, weight, None)


@contextmanager
def in_float32(decoder: Any) -> Iterator[None]:
    """Within it the decoder computes in float32 with the weights that it has: a part's are widened while it runs."""
    before: dict[Any, torch.Tensor] = {}
    embedding = decoder.embed_tokens
    # Gemma's factor of its embedding, which loading rounds to the weights' precision.
    factor = getattr(embedding, "embed_scale", None)

    def widen(part: Any, *_: Any) -> None:
        for weight in part.parameters():
            before[weight] = weight.data
            weight.data = weight.data.float()

    def narrow(part: Any, *_: Any) -> None:
        for weight in part.parameters():
            weight.data = before.pop(weight)

    hooks = []
    try:
        if factor is not None:
            embedding.embed_scale = torch.tensor(embedding.scalar_embed_scale)
        for part in (embedding, *decoder.layers, decoder.norm):
            hooks += [part.register_forward_pre_hook(widen), part.register_forward_hook(narrow)]
        yield
    finally:
        if factor is not None:
            embedding.embed_scale = factor
        for hook in hooks:
            hook.remove()
        for weight, data in before.items():
            weight.data = data
