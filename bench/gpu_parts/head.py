"""The head alone: from hidden states to log-probability, rank, entropy and Brier score, in three ways."""

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch

from stepsift.score.forward.head import SlicedHead, token_values

ROUNDS = 5


def measure_heads(device: torch.device, small: bool) -> list[dict[str, Any]]:
    """A row per width of hidden states and method: ms, memory, and the largest difference to float64 in nats."""
    rows = []
    shapes = ((64, 64, 512),) if small else ((8_192, 896, 151_936), (8_192, 3_584, 151_936))
    for n_rows, width, vocabulary in shapes:
        torch.manual_seed(0)
        x = torch.randn(n_rows, width, device=device, dtype=torch.bfloat16)
        weight = torch.randn(vocabulary, width, device=device, dtype=torch.bfloat16) * 0.05
        targets = torch.randint(0, vocabulary, (n_rows,), device=device)
        exact = torch.log_softmax(x[:64].double() @ weight.double().T, -1).gather(1, targets[:64, None])[:, 0]
        head = _head(weight)
        methods: dict[str, Callable[[], torch.Tensor]] = {
            "sliced (ours)": partial(_sliced, head, x, targets),
            "torch, all logits, log-softmax and entropy": partial(_torch, x, weight, targets),
        }
        if find_spec("triton") and device.type == "cuda":
            from gpu_parts.fused import fused_values

            methods["fused (Triton)"] = partial(_fused, fused_values, x, weight, targets)
        rows += [_row(name, work, exact, (n_rows, width)) for name, work in methods.items()]
    return rows


def _sliced(head: SlicedHead, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(token_values(head, x, targets).logprob)


def _fused(
    values: Callable[..., torch.Tensor], x: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    return values(x, weight, targets)[0]


def _head(weight: torch.Tensor) -> SlicedHead:
    """A head of our engine around a weight, without a model."""
    head = SlicedHead.__new__(SlicedHead)
    head.weight, head.bias, head.onednn, head.cap, head.scale = weight, None, False, None, 1.0
    head.vocabulary = weight.shape[0]
    return head


@torch.inference_mode()
def _torch(x: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """What a few lines of torch do, with an array of [tokens, vocabulary] in float32; 1,024 rows at a time fit."""
    parts = []
    for i in range(0, len(x), 1_024):
        logp = torch.log_softmax((x[i : i + 1_024] @ weight.T).float(), -1)
        own = logp.gather(1, targets[i : i + 1_024, None])
        rank, entropy = (logp > own).sum(-1), -(logp.exp() * logp).sum(-1)
        parts.append(torch.stack([own[:, 0], rank.float(), entropy]))
    return torch.cat(parts, 1)[0]


@torch.inference_mode()
def _row(method: str, work: Callable[[], torch.Tensor], exact: torch.Tensor, shape: tuple[int, int]) -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    row: dict[str, Any] = {"rows": shape[0], "width": shape[1], "method": method}
    try:
        result = work()
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() if cuda else 0
        times = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            work()
            if cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
        row["ms"] = 1e3 * min(times)
        row["MB"] = round((torch.cuda.max_memory_allocated() - before) / 1e6) if cuda else None
        row["largest error"] = float((result[:64].double().cpu() - exact.cpu()).abs().max())
    except Exception as e:  # a kernel that does not compile here is a result
        row["failed"] = f"{type(e).__name__}: {str(e)[:200]}"
    return row
