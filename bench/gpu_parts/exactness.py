"""Are packed windows right? Against a float64 model that is given one window after another, whole."""

from typing import Any

import numpy as np
import torch

from gpu_parts.models import FAMILIES, tiny
from gpu_parts.traces import bounds
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.request import Request
from stepsift.score.forward.windows import local_passes

WINDOW = 4


def check_exactness(device: torch.device, small: bool) -> list[dict[str, Any]]:
    """A row per family, precision and prompt length: errors of log-probabilities (nats), packed and one by one.

    `packed` is the engine on this device, `plain` the same model on this device given one window after another: what
    is left to the engine is the difference of the two, and bfloat16 moves both.
    """
    rows = []
    lengths = (1, 70) if small else (1, 7, 70, 300, 4_000)
    for family in FAMILIES:
        exact = tiny(family, torch.float64, device)
        traces = [_trace(n, 60 if small else 240, exact.config.vocab_size) for n in lengths]
        truths = [_one_by_one(exact, trace) for trace in traces]
        for dtype in (torch.float32, torch.bfloat16):
            model = tiny(family, dtype, device)
            engine = PackedEngine(model, 4_096)
            for trace, truth in zip(traces, truths, strict=True):
                request = Request(trace["prompt"], trace["response"], local_passes(trace["bounds"], WINDOW), full=True)
                [scores] = engine.score_many([request])
                plain = _one_by_one(model, trace)
                assert scores.local is not None and scores.full is not None
                errors = {
                    "packed": np.abs(scores.local.logprob - truth["local"]),
                    "plain": np.abs(plain["local"] - truth["local"]),
                    "packed full": np.abs(scores.full.logprob - truth["full"]),
                }
                row: dict[str, Any] = {"family": family, "dtype": str(dtype)[6:], "prompt": len(trace["prompt"])}
                row |= {"kernel": _kernel(engine)}
                for name, error in errors.items():
                    row |= {f"{name} max": float(error.max()), f"{name} mean": float(error.mean())}
                row["right"] = _right(errors, dtype)
                rows.append(row)
    return rows


def _kernel(engine: PackedEngine) -> str:
    kernel = engine._kernel
    return getattr(kernel, "func", kernel).__name__


def _right(errors: dict[str, np.ndarray], dtype: torch.dtype) -> bool:
    """float32 within 1e-4 nats; bfloat16 no further from float64 on average than the plain model, by a quarter."""
    if dtype == torch.float32:
        return bool(max(errors["packed"].max(), errors["packed full"].max()) < 1e-4)
    return bool(errors["packed"].mean() <= 1.25 * errors["plain"].mean() + 1e-3)


def _trace(n_prompt: int, n_tokens: int, vocabulary: int) -> dict[str, Any]:
    draw = np.random.default_rng(n_prompt)
    return {
        "prompt": draw.integers(1, vocabulary, n_prompt).tolist(),
        "response": draw.integers(1, vocabulary, n_tokens).tolist(),
        "bounds": bounds(n_tokens, draw),
    }


@torch.inference_mode()
def _one_by_one(model: Any, trace: dict[str, Any]) -> dict[str, np.ndarray]:
    """Log-probability of each response token, in its window and over the whole context, one forward pass each."""
    edges, prompt, response = trace["bounds"], trace["prompt"], trace["response"]
    local = []
    for step in range(len(edges) - 1):
        begin, scored, end = edges[max(0, step - WINDOW)], edges[step], edges[step + 1]
        local.append(_logprobs(model, prompt + response[begin:scored], response[scored:end]))
    return {"local": np.concatenate(local), "full": _logprobs(model, prompt, response)}


def _logprobs(model: Any, context: list[int], targets: list[int]) -> np.ndarray:
    device = next(model.parameters()).device
    ids = torch.tensor([context + targets], device=device)
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0, len(context) - 1 :].double()
    chosen = torch.log_softmax(logits, -1).gather(1, ids[0, len(context) :, None])[:, 0]
    numbers: np.ndarray = chosen.cpu().numpy()
    return numbers
