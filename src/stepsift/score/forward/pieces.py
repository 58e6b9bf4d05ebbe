"""The element-wise pieces of a decoder layer and of the head's sums, each a small function that torch compiles.

Between two matrix products a layer does little arithmetic on much memory; written out, each operation goes through that
memory once more. Compiled, a piece goes through it once. It takes a C++ compiler, at the first call of each piece, and
seconds of its time; torch keeps what it made on disk (`TORCHINDUCTOR_CACHE_DIR`). All numbers are float32.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache

import torch


def normed(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMS norm over the last dimension."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def added(x: torch.Tensor, change: torch.Tensor, weight: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The residual with a layer's change, and its norm."""
    y = x + change
    return y, normed(y, weight, eps)


def normed_added(
    x: torch.Tensor, change: torch.Tensor, change_weight: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `added`, of a change that is normed first."""
    y = x + normed(change, change_weight, eps)
    return y, normed(y, weight, eps)


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Heads `x` [tokens, heads, width] at their positions; `cos`, `sin` [tokens, 1, width]."""
    one, two = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-two, one), dim=-1) * sin


def normed_rotated(
    x: torch.Tensor, weight: torch.Tensor, eps: float, cos: torch.Tensor, sin: torch.Tensor
) -> torch.Tensor:
    """As `rotated`, of heads that are normed first, each by its row of `weight` [heads, width]."""
    return rotated(normed(x, weight, eps), cos, sin)


def gated_silu(x: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up of [gate; up]."""
    gate, up = x.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate) * up


def gated_gelu(x: torch.Tensor) -> torch.Tensor:
    """gelu(gate) * up of [gate; up], by the formula with tanh."""
    gate, up = x.chunk(2, dim=-1)
    return torch.nn.functional.gelu(gate, approximate="tanh") * up


def joined(one: torch.Tensor, log_one: torch.Tensor, two: torch.Tensor, log_two: torch.Tensor) -> torch.Tensor:
    """Attention over two disjoint sets of keys, of outputs [tokens, heads, width] and log-sums [tokens, heads]."""
    share = torch.sigmoid(log_two - log_one)[..., None]
    return one + (two - one) * share


def slice_sums(z: torch.Tensor, target: torch.Tensor, top: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of logits `z` [rows, entries], with m the larger of `top` [rows, 1] and theirs, and p = exp(z - m): m, then the
    number above `target` [rows, 1] and the sums of p, p^2 and p * (z - m), each [rows]."""
    m = torch.maximum(top, z.amax(dim=1, keepdim=True))
    # A logit of minus infinity has p = 0 and adds nothing; minus infinity times 0 would be NaN.
    below = (z - m).clamp(min=-1e4)
    p = below.exp()
    return m, (z > target).float().sum(dim=1), p.sum(dim=1), p.square().sum(dim=1), (p * below).sum(dim=1)


@cache
def compiler() -> str | None:
    """Name and version of the C++ compiler that torch would call; None where there is none."""
    from torch._inductor import config

    candidates = config.cpp.cxx if isinstance(config.cpp.cxx, (tuple, list)) else (config.cpp.cxx,)
    path = next((found for name in candidates if name and (found := shutil.which(name))), None)
    if path is None:
        return None
    version = subprocess.run([path, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=False)
    return f"{path.rsplit('/', 1)[-1]} {version.stdout.strip()}" if version.returncode == 0 else None


@dataclass(frozen=True)
class LayerPieces:
    """The functions above, as they are or compiled."""

    normed: Callable[..., torch.Tensor] = normed
    added: Callable[..., tuple[torch.Tensor, torch.Tensor]] = added
    normed_added: Callable[..., tuple[torch.Tensor, torch.Tensor]] = normed_added
    rotated: Callable[..., torch.Tensor] = rotated
    normed_rotated: Callable[..., torch.Tensor] = normed_rotated
    gated_silu: Callable[..., torch.Tensor] = gated_silu
    gated_gelu: Callable[..., torch.Tensor] = gated_gelu
    joined: Callable[..., torch.Tensor] = joined
    slice_sums: Callable[..., tuple[torch.Tensor, ...]] = slice_sums

    @classmethod
    def compiled(cls) -> "LayerPieces":
        """Compiled each at its first call, for tensors of any length."""
        plain = cls()
        return cls(**{f.name: torch.compile(getattr(plain, f.name), dynamic=True) for f in fields(cls)})
