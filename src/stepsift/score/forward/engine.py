"""Forward passes: the values of every token of a trace, in its windows and over its whole context.

The prompt is computed once a trace; its keys and values are shared by all windows, whose positions run on from it.
Rows are right-padded, so causal attention alone keeps them apart: no row can see its own padding. Each row begins with
the prompt's last token, so that the first token of a window needs no special case.

The unit is the trace: a batch holds passes of one trace, so a trace's values do not depend on what else is scored.
"""

import logging
import math
from typing import Any

import torch

from stepsift.core.errors import ScoringError
from stepsift.score.forward.head import Head, ModelLogits, SlicedHead, tile, token_values
from stepsift.score.forward.request import Request, Scores, TokenValues
from stepsift.score.forward.windows import Pass, batches

_KeysValues = list[tuple[torch.Tensor, torch.Tensor]]

log = logging.getLogger(__name__)


class Engine:
    """Scores traces with a loaded causal model under a budget of tokens (padding counted) a forward pass.

    Some families keep more than keys and values (recurrent and hybrid ones a state), which cannot be shared: for them
    every row holds the whole prompt, and the full pass is one row.
    """

    def __init__(self, model: Any, batch_tokens: int):
        self.model = model
        self.batch_tokens = batch_tokens
        # Weights of other parts may lie elsewhere (placement.py).
        self.device = model.get_input_embeddings().weight.device
        self.vocabulary = _vocabulary(model)
        self.head = pick_head(model)
        self.shares_prompt = True
        self.shares_prompt = self._can_share_prompt()

    @torch.inference_mode()
    def score(self, request: Request) -> Scores:
        """The values that were asked for, of one trace."""
        ids = torch.tensor(request.response, dtype=torch.long, device=self.device)
        prefix = torch.tensor(request.prompt, dtype=torch.long, device=self.device)
        past = self._keys_values(prefix[:-1]) if self.shares_prompt and len(prefix) > 1 else []
        whole = [Pass(0, 0, len(ids))]
        # Where one window holds the whole trace, its values are those over the whole context: one pass gives both.
        same = request.local == whole
        local = full = None
        if request.local and not same:
            local = _Values(self.head, ids)
            for batch in batches(request.local, self.batch_tokens, lead=1 if self.shares_prompt else len(prefix)):
                self._score_rows(prefix, ids, batch, past, local)
        if request.full or same:
            full = _Values(self.head, ids)
            if self.shares_prompt:
                self._score_in_chunks(prefix, ids, past, full)
            else:
                self._score_rows(prefix, ids, whole, past, full)
        over_all = full.finish() if full else None
        return Scores(over_all if same else local.finish() if local else None, over_all if request.full else None)

    def _score_rows(
        self, prefix: torch.Tensor, ids: torch.Tensor, rows: list[Pass], past: _KeysValues, out: "_Values"
    ) -> None:
        """One forward pass over right-padded rows; their values go into `out`."""
        lead = prefix[-1:] if self.shares_prompt else prefix
        width = len(lead) + rows[0].length - 1
        tokens = torch.zeros((len(rows), width), dtype=torch.long, device=self.device)
        for row, p in zip(tokens, rows, strict=True):
            row[: len(lead)] = lead
            row[len(lead) : len(lead) + p.length - 1] = ids[p.begin : p.end - 1]
        hidden = self._forward(tokens, self._cache(past, len(rows)))
        for row, p in zip(hidden, rows, strict=True):
            # Position len(lead) - 1 + j of a row predicts token begin + j.
            out.add(slice(p.scored, p.end), row[len(lead) - 1 + p.scored - p.begin : len(lead) - 1 + p.length])

    def _score_in_chunks(self, prefix: torch.Tensor, ids: torch.Tensor, past: _KeysValues, out: "_Values") -> None:
        """The full pass, fed in chunks whose keys and values are kept: no mask of the square of a trace's length."""
        tokens = torch.cat([prefix[-1:], ids[:-1]])
        cache = self._cache(past, 1)
        for begin in range(0, len(ids), self.batch_tokens):
            span = slice(begin, min(begin + self.batch_tokens, len(ids)))
            out.add(span, self._forward(tokens[None, span], cache)[0])

    def _keys_values(self, tokens: torch.Tensor) -> _KeysValues:
        """Keys and values of a prefix, layer by layer, each [1, heads, tokens, width]."""
        cache = self._cache([], 1)
        for begin in range(0, len(tokens), self.batch_tokens):
            self._decoder(input_ids=tokens[None, begin : begin + self.batch_tokens], past_key_values=cache)
        return [(layer.keys, layer.values) for layer in cache.layers]

    def _cache(self, past: _KeysValues, rows: int) -> Any:
        """A cache that starts with the shared prefix, seen by every row; None for families that cannot share."""
        if not self.shares_prompt:
            return None
        from transformers import DynamicCache

        # Made without the model's configuration: with it, sliding-window layers would drop the start of the prompt.
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(past):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
        return cache

    @torch.inference_mode()
    def _can_share_prompt(self) -> bool:
        """Whether a shared prefix gives what whole rows give: tried, since not every hybrid calls itself stateful.

        Raises ScoringError if a token's values change with what comes after it.
        """
        ids = torch.arange(1, 13, device=self.device)[None] % self.vocabulary
        rows = torch.cat([ids, ids.flip(1)])
        rows[:, :6] = ids[:, :6]
        whole = self._forward(rows, None).float()
        if not self._close(whole[0, :6], whole[1, :6]):
            raise ScoringError(
                f"the student ({type(self.model).__name__}) is not causal: what it predicts changes with later tokens; "
                "use a model that was trained to predict the next token"
            )
        if getattr(self.model, "_is_stateful", False):
            return False
        try:
            shared = self._forward(rows[:, 6:], self._cache(self._keys_values(ids[0, :6]), 2)).float()
        except Exception as e:  # a family that needs another kind of cache says so in its own way
            log.info("%s cannot share the prompt's keys and values: %s", type(self.model).__name__, e)
            return False
        return self._close(shared, whole[:, 6:])

    def _close(self, ours: torch.Tensor, theirs: torch.Tensor) -> bool:
        """Whether two ways to the same numbers differ by rounding alone."""
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 0.1
        return bool((ours - theirs).abs().mean() <= tolerance * theirs.abs().mean())

    def _decoder(self, **inputs: Any) -> Any:
        return self.model.get_decoder()(use_cache=inputs["past_key_values"] is not None, **inputs)

    def _forward(self, tokens: torch.Tensor, cache: Any) -> torch.Tensor:
        """What the head takes for every position: [rows, positions, ..]."""
        if isinstance(self.head, ModelLogits):
            return self.model(input_ids=tokens, past_key_values=cache, use_cache=cache is not None).logits
        return self._decoder(input_ids=tokens, past_key_values=cache).last_hidden_state


class _Values:
    """Collects what the head takes, position by position, and hands it over in blocks as large as the head's tiles."""

    def __init__(self, head: Head, ids: torch.Tensor):
        self._head, self._ids = head, ids
        self._values = TokenValues.empty(len(ids))
        # In equal blocks, since a small last one would be slow.
        self._rows = math.ceil(len(ids) / math.ceil(len(ids) / tile(ids.device).rows))
        self._pending: list[tuple[slice, torch.Tensor]] = []
        self._n_pending = 0

    def add(self, at: slice, x: torch.Tensor) -> None:
        """The head's input `x` [positions, ..] that predicts the tokens at `at`."""
        for begin in range(0, len(x), self._rows):
            part = x[begin : begin + self._rows]
            if self._n_pending + len(part) > self._rows:
                self._flush()
            self._pending.append((slice(at.start + begin, at.start + begin + len(part)), part.clone()))
            self._n_pending += len(part)

    def finish(self) -> TokenValues:
        """The values of all positions that were added."""
        self._flush()
        return self._values

    def _flush(self) -> None:
        if self._pending:
            targets = torch.cat([self._ids[at] for at, _ in self._pending])
            values = token_values(self._head, torch.cat([x for _, x in self._pending]), targets)
            begin = 0
            for at, x in self._pending:
                self._values.put(at, values.take(slice(begin, begin + len(x))))
                begin += len(x)
        self._pending, self._n_pending = [], 0


@torch.inference_mode()
def pick_head(model: Any) -> Head:
    """The head that gives this model's own logits: by slices of its output embedding where that is what it does.

    Raises ScoringError if the model's logits are not finite.
    """
    probe = torch.arange(1, 9, device=model.get_input_embeddings().weight.device)[None] % _vocabulary(model)
    own = model(input_ids=probe, use_cache=False).logits[0].float()
    if not torch.isfinite(own).all():
        raise ScoringError("the student gives logits that are not finite (NaN or infinite); its weights are damaged")
    hidden = getattr(model.get_decoder()(input_ids=probe, use_cache=False), "last_hidden_state", None)
    embedding = model.get_output_embeddings()
    if hidden is not None and isinstance(embedding, torch.nn.Linear) and hidden.shape[-1] == embedding.in_features:
        head = SlicedHead(model)
        ours = torch.cat([z.clone() for z in head.slices(hidden[0], 4_096)], dim=1)
        tolerance = 1e-4 if head.weight.dtype == torch.float32 else 2e-2
        if ours.shape == own.shape and (ours - own).abs().max() <= tolerance * own.abs().max().clamp(min=1):
            return head
    log.info("%s changes its logits in a way of its own; they are taken as they are", type(model).__name__)
    return ModelLogits(own.shape[-1])


def _vocabulary(model: Any) -> int:
    """Ids that may go in."""
    return int(model.get_input_embeddings().weight.shape[0])
