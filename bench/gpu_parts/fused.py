"""A fused head in Triton: one sweep over the vocabulary gives log-probability, rank, entropy and the sum of squares.

Logits never leave the chip: a program has a block of rows, multiplies it with one block of the vocabulary after another
and keeps running sums. The rank needs the target's logit first, which a small product gives.
"""

# mypy: ignore-errors
# Triton's language is Python in looks alone.

import torch
import triton
import triton.language as tl


@triton.jit
def _kernel(  # noqa: PLR0913 # a kernel takes its pointers and sizes one by one
    x, w, own, out, n_rows, n_vocabulary, width: tl.constexpr,
            rows: tl.constexpr, entries: tl.constexpr, depth: tl.constexpr):  # fmt: skip
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    here = row < n_rows
    target = tl.load(own + row, mask=here, other=0.0)
    peak = tl.full((rows,), float("-inf"), tl.float32)
    total = tl.zeros((rows,), tl.float32)
    weighted = tl.zeros((rows,), tl.float32)
    squares = tl.zeros((rows,), tl.float32)
    above = tl.zeros((rows,), tl.int32)
    for first in range(0, n_vocabulary, entries):
        entry = first + tl.arange(0, entries)
        logits = tl.zeros((rows, entries), tl.float32)
        for k in range(0, width, depth):
            column = k + tl.arange(0, depth)
            a = tl.load(x + row[:, None] * width + column[None], mask=here[:, None] & (column[None] < width), other=0.0)
            b = tl.load(w + entry[:, None] * width + column[None],
                        mask=(entry[:, None] < n_vocabulary) & (column[None] < width), other=0.0)  # fmt: skip
            logits = tl.dot(a, tl.trans(b), logits)
        # Logits are rounded as the model's own product rounds them.
        logits = logits.to(tl.bfloat16).to(tl.float32)
        inside = entry[None] < n_vocabulary
        logits = tl.where(inside, logits, float("-inf"))
        above += tl.sum((logits > target[:, None]).to(tl.int32), 1)
        new_peak = tl.maximum(peak, tl.max(logits, 1))
        shrink = tl.exp(peak - new_peak)
        e = tl.exp(logits - new_peak[:, None])
        total = total * shrink + tl.sum(e, 1)
        weighted = weighted * shrink + tl.sum(tl.where(inside, e * logits, 0.0), 1)
        squares = squares * shrink * shrink + tl.sum(e * e, 1)
        peak = new_peak
    log_total = tl.log(total) + peak
    tl.store(out + row, target - log_total, mask=here)
    tl.store(out + n_rows + row, (above + 1).to(tl.float32), mask=here)
    tl.store(out + 2 * n_rows + row, log_total - weighted / total, mask=here)
    tl.store(out + 3 * n_rows + row, squares / (total * total), mask=here)


@torch.inference_mode()
def fused_values(x: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probability, rank, entropy and sum of squared probabilities, float32 [4, rows], of bfloat16 inputs."""
    own = torch.cat(
        [(x[i : i + 1_024] * weight[targets[i : i + 1_024]]).float().sum(-1) for i in range(0, len(x), 1_024)]
    )
    own = own.to(torch.bfloat16).float()
    out = torch.empty(4, len(x), device=x.device, dtype=torch.float32)
    rows, entries, depth = 64, 128, 64
    _kernel[(triton.cdiv(len(x), rows),)](x, weight, own, out, len(x), len(weight), x.shape[1], rows, entries, depth)
    return out
