"""Log-probabilities of labels with products in bfloat16 on a CPU: the head of a student, for tokens with a label alone.

TRL's fused head multiplies all tokens of a batch off CUDA, those of prompts and padding too, computes the logits anew
for gradients, and multiplies gradients in float32. Here they are those of the labels, kept where they are few, and all
three products are in bfloat16 as autocast would have them: with a vocabulary of 262,144 an update takes half the time
(docs/BENCH.md). In float32 the two differ by less, and TRL's is used.
"""

from typing import Any

import torch
from torch import Tensor

TILE_BYTES = 2**28
"""Logits in float32 that are held at once."""
KEPT_BYTES = 2**30
"""Logits in bfloat16 that are kept for the gradients; those of more tokens are computed again."""
_SCALED = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
    "output_router_logits",
)
"""What a configuration says where logits are more than a product, or the loss more than theirs."""


def fits(model: Any) -> bool:
    """Whether logits of a model, maybe with adapters, are its last hidden states times the weights of its head."""
    config = model.config.get_text_config()
    head = model.get_output_embeddings()
    values = [getattr(config, name, None) for name in _SCALED]
    plain = all(value is None or value is False or (value is not True and value == 1) for value in values)
    return plain and isinstance(head, torch.nn.Linear) and head.weight.dtype == torch.float32


def label_logprobs(model: Any, inputs: dict[str, Tensor], labels: Tensor, ignored: int) -> Tensor:
    """Log-probabilities in nats [batch, tokens - 1] of each token's successor, 0 where its label is `ignored`.

    `inputs` are those of the model's body. To be called under autocast to bfloat16.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = causal.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    mask = targets != ignored
    head = causal.get_output_embeddings()
    keeps = torch.is_grad_enabled()
    values = LabelLogprobs.apply(hidden[mask], head.weight, head.bias, targets[mask], keeps)
    return values.new_zeros(mask.shape).masked_scatter(mask, values)


class LabelLogprobs(torch.autograd.Function):
    """log softmax(hidden @ weight.T + bias)[target] of each row, with products in bfloat16 and sums in float32."""

    @staticmethod
    def forward(  # noqa: PLR0913 - what autograd passes
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, keeps: bool = True
    ) -> Tensor:
        """`hidden` [n, width], `weight` [vocabulary, width], `bias` [vocabulary], `targets` [n]; gives [n], float32.

        `keeps`: gradients will be asked for.
        """
        rows, table = hidden.bfloat16(), weight.bfloat16()
        kept: list[Tensor] = []
        ctx.keeps = keeps and 2 * len(rows) * len(table) <= KEPT_BYTES
        log_sums, values = [], []
        for part in _parts(rows, table):
            logits = _logits(rows[part], table, bias)
            own = logits.gather(1, targets[part, None])[:, 0].float()
            log_sums.append(logits.float().logsumexp(1))
            values.append(own - log_sums[-1])
            if ctx.keeps:
                kept.append(logits)
        ctx.save_for_backward(rows, table, bias, targets, *log_sums, *kept)
        return torch.cat(values) if values else hidden.new_zeros(0, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None, None]:
        """Gradients of hidden states, weights and bias, in float32."""
        rows, table, bias, targets, *rest = ctx.saved_tensors
        parts = _parts(rows, table)
        log_sums, kept = rest[: len(parts)], rest[len(parts) :]
        of_hidden = rows.new_zeros(rows.shape, dtype=torch.float32)
        of_weight = table.new_zeros(table.shape, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        of_bias = table.new_zeros(len(table), dtype=torch.float32) if ctx.needs_input_grad[2] else None
        for i, part in enumerate(parts):
            logits = kept[i] if ctx.keeps else _logits(rows[part], table, bias)
            # Of log p of the target by each logit: 1 at the target, minus each one's share.
            shares = logits.float().sub_(log_sums[i][:, None]).exp_()
            shares.neg_().scatter_add_(1, targets[part, None], shares.new_ones(len(shares), 1))
            tile = shares.mul_(gradients[0][part, None]).bfloat16()
            of_hidden[part] = tile @ table
            if of_weight is not None:
                of_weight += tile.T @ rows[part]
            if of_bias is not None:
                of_bias += tile.sum(0, dtype=torch.float32)
        return of_hidden, of_weight, of_bias, None, None


def _parts(rows: Tensor, table: Tensor) -> list[slice]:
    """The rows that are multiplied at once."""
    size = max(1, TILE_BYTES // (4 * len(table)))
    return [slice(start, start + size) for start in range(0, len(rows), size)]


def _logits(rows: Tensor, table: Tensor, bias: Tensor | None) -> Tensor:
    return torch.nn.functional.linear(rows, table, None if bias is None else bias.bfloat16())
