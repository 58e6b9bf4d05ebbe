"""From hidden states to what is kept of a token: log-probability, rank, entropy and Brier score.

Only hidden states at scored positions come here. The vocabulary is gone through in slices with a running maximum and
running sums, so no array of [tokens, vocabulary] ever exists: a tile of rows and vocabulary entries stays in the
processor's cache from the product that makes it to the sums that are all that is kept of it. Sums run in float32 inside
a tile and in float64 across tiles (in float32 on devices that have no float64).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from stepsift.score.forward.devices import wide_floats
from stepsift.score.forward.numerics import onednn_linear, uses_onednn
from stepsift.score.forward.request import DTYPES, TokenValues


@dataclass(frozen=True)
class Tile:
    """How much of [tokens, vocabulary] is worked on at once: at most `rows` rows, at most `entries` logits."""

    rows: int
    entries: int

    def width(self, rows: int) -> int:
        """Vocabulary entries of a tile of `rows` rows: a multiple of 256, since products like round shapes."""
        return max(512, self.entries // rows // 256 * 256)


def tile(device: torch.device) -> Tile:
    """The tile of a device. On a CPU: what a core's second-level cache holds; on a GPU: enough work for one launch."""
    return Tile(512, 2**18) if device.type == "cpu" else Tile(4_096, 2**26)


SliceSums = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]
"""`pieces.slice_sums`, compiled."""


class Head(Protocol):
    """What gives logits [rows, vocabulary] of its input `x` [rows, ..]."""

    vocabulary: int

    def targets(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Each row's logit of its own target, [rows, 1], float32."""
        ...

    def slices(self, x: torch.Tensor, width: int) -> Iterator[torch.Tensor]:
        """Float32 logits of `width` vocabulary entries after another; each may overwrite the one before it."""
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
        self.onednn = uses_onednn(embedding)
        self.vocabulary = self.weight.shape[0]
        self.cap = getattr(config, "final_logit_softcapping", None)
        self.scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)

    def targets(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        # A product of the same kind as that of the slices, of which the diagonal is wanted: rounded alike.
        z = self.product(x, self.weight[targets]).float()
        return self._finish(z, None if self.bias is None else self.bias[targets]).diagonal()[:, None].contiguous()

    def slices(self, x: torch.Tensor, width: int) -> Iterator[torch.Tensor]:
        # Written over and over: memory that is asked for anew comes page by page, at the price of a tenth of the work.
        product = torch.empty(len(x) * width, dtype=x.dtype, device=x.device)
        numbers = product if x.dtype == torch.float32 else product.float()
        for low in range(0, self.vocabulary, width):
            weight = self.weight[low : low + width]
            shape = len(x), len(weight)
            z = self.product(x, weight, product[: shape[0] * shape[1]].view(shape))
            if numbers is not product:
                z = numbers[: z.numel()].view(shape).copy_(z)
            yield self._finish(z, None if self.bias is None else self.bias[low : low + width])

    def product(self, x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of some rows of the embedding, before anything is done to them; they may be written to `out`."""
        return onednn_linear(x, weight) if self.onednn else torch.mm(x, weight.T, out=out)

    def _finish(self, z: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Logits of float32 products, in place."""
        if bias is not None:
            z += bias
        if self.scale != 1.0:
            z *= self.scale
        if self.cap is not None:
            z.div_(self.cap).tanh_().mul_(self.cap)
        return z


class ModelLogits:
    """For families whose logits are not a product that we know: `x` are the model's own logits [rows, vocabulary]."""

    def __init__(self, vocabulary: int):
        self.vocabulary = vocabulary

    def targets(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return x.gather(1, targets[:, None]).float()

    def slices(self, x: torch.Tensor, width: int) -> Iterator[torch.Tensor]:
        for low in range(0, self.vocabulary, width):
            yield x[:, low : low + width].to(torch.float32, copy=True)


def token_values(
    head: Head, x: torch.Tensor, targets: torch.Tensor, slice_sums: SliceSums | None = None
) -> TokenValues:
    """Values of `targets` [rows] under the rows `x` of the head's input; `slice_sums`: in place of `_Sums.add`."""
    rows = tile(x.device).rows
    parts = [_values(head, x[i : i + rows], targets[i : i + rows], slice_sums) for i in range(0, len(targets), rows)]
    return TokenValues(*(np.concatenate(columns) for columns in zip(*(p.columns() for p in parts), strict=True)))


def _values(head: Head, x: torch.Tensor, targets: torch.Tensor, slice_sums: SliceSums | None) -> TokenValues:
    """Values of at most one tile's rows."""
    width = min(tile(x.device).width(len(targets)), head.vocabulary)
    target = head.targets(x, targets)
    sums = _Sums(target)
    buffer = torch.empty((len(targets), width), device=x.device)
    own = torch.empty_like(target)
    low = 0
    for z in head.slices(x, width):
        here = (targets >= low) & (targets < low + width)
        own = torch.where(here[:, None], z.gather(1, (targets - low).clamp_(0, z.shape[1] - 1)[:, None]), own)
        if slice_sums is None:
            sums.add(z, buffer[:, : z.shape[1]])
        else:
            sums.merge(*slice_sums(z, target, sums.top))
        low += width
    return sums.values(own)


class _Sums:
    """Running sums over the vocabulary of rows whose targets' logits are `target` [rows, 1].

    With m the largest logit so far and p = exp(z - m): the sums of p, p^2 and p * (z - m), and how many logits exceed
    the target's. Kernels were picked by measurement: comparing into numbers and summing those is six times as fast as
    counting truths.
    """

    def __init__(self, target: torch.Tensor):
        self.target = target
        self.wide = wide_floats(target.device)
        self.top = torch.full_like(target, torch.finfo(torch.float32).min)
        self.greater, self.total, self.squared, self.weighted = (
            torch.zeros(len(target), dtype=self.wide, device=target.device) for _ in range(4)
        )

    def add(self, z: torch.Tensor, buffer: torch.Tensor) -> None:
        """Add a slice of logits [rows, entries], which is overwritten, as is `buffer` of its shape."""
        greater = torch.gt(z, self.target, out=buffer).sum(dim=1)
        top = torch.maximum(self.top, z.amax(dim=1, keepdim=True))
        z.sub_(top)
        p = torch.exp(z, out=buffer)
        total, squared = p.sum(dim=1), torch.linalg.vector_norm(p, dim=1).to(self.wide).square()
        # A logit of minus infinity has p = 0 and adds nothing; minus infinity times 0 would be NaN.
        self.merge(top, greater, total, squared, z.clamp_(min=-1e4).mul_(p).sum(dim=1))

    def merge(
        self,
        top: torch.Tensor,
        greater: torch.Tensor,
        total: torch.Tensor,
        squared: torch.Tensor,
        weighted: torch.Tensor,
    ) -> None:
        """Add the sums of a slice, whose largest logit or the one before is `top`."""
        shift = (self.top - top).squeeze(1).to(self.wide)
        shrink = shift.exp()
        self.greater += greater
        self.weighted = (self.weighted + shift * self.total) * shrink + weighted
        self.total = self.total * shrink + total
        self.squared = self.squared * shrink.square() + squared
        self.top = top

    def values(self, own: torch.Tensor) -> TokenValues:
        """Values of the rows, whose targets' logits as the slices held them are `own` [rows, 1]."""
        rank = 1 + self.greater - (own > self.target).squeeze(1).to(self.wide)
        log_total = self.total.log()
        logprob = (own - self.top).squeeze(1).to(self.wide) - log_total
        entropy = log_total - self.weighted / self.total
        brier = 1 - 2 * logprob.exp() + self.squared / self.total**2
        columns = (logprob.clamp(max=0), rank, entropy.clamp(min=0), brier)
        return TokenValues(*(v.cpu().numpy().astype(d) for v, d in zip(columns, DTYPES.values(), strict=True)))
