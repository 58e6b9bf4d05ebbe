"""Throughput of exact LALP and of full passes, beside what others do: padded batches, one forward per step, vLLM."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from gpu_parts.models import SHAPES, of_shape
from gpu_parts.traces import Pool, requests
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.request import Request

__all__ = ["SHAPES", "growth", "measure_peak", "measure_shape", "profile"]

BATCH_TOKENS = 32_768
PADDED_ROWS = 32
ROUNDS = 3


@dataclass(frozen=True)
class Method:
    """A way to score a pool: in windows (`local`) or over the whole context."""

    name: str
    pool: Pool
    local: bool
    score: Callable[[list[Request]], object]


def measure_peak(device: torch.device, small: bool) -> float:
    """TFLOP/s of a large product of bfloat16 matrices: the best of several."""
    n = 256 if small else 8_192
    a, b = (torch.randn(n, n, dtype=torch.bfloat16, device=device) for _ in range(2))
    seconds = min(_seconds(lambda: torch.mm(a, b)) for _ in range(3 if small else 20))
    return round(2 * n**3 / seconds / 1e12, 3)


def measure_shape(name: str, device: torch.device, small: bool) -> list[dict[str, Any]]:
    """A row per method: response tokens per second, the best of ROUNDS after one to warm up; memory above the model.

    `of peak` counts the products that the method of LALP asks for (prompt once per trace, every window), not what a
    method does besides.
    """
    model = of_shape(name, device)
    pool = Pool(4, 60, 2, 16) if small else Pool(48, 2_000, 12, 200)
    few = Pool(2, 40, 1, 16) if small else Pool(4, 2_000, 4, 200)
    engine = PackedEngine(model, 256 if small else BATCH_TOKENS)
    peak = measure_peak(device, small)
    methods = [
        Method("LALP, packed", pool, True, engine.score_many),
        Method("full pass, packed", pool, False, engine.score_many),
        Method("LALP, padded batches, all logits", few, True, lambda r: _padded(model, r)),
        Method("LALP, one forward per step", few, True, lambda r: _one_by_one(model, r)),
    ]
    rows = [_measured(model, peak, method) for method in methods]
    if find_spec("vllm") and not small:
        rows.append(_vllm(model, few))
    return rows


def _measured(model: Any, peak: float, method: Method) -> dict[str, Any]:
    pool, local, score = method.pool, method.local, method.score
    device = next(model.parameters()).device
    made = requests(pool, model.config.vocab_size, local, not local)
    n_tokens = sum(len(r.response) for r in made)
    seen = sum(len(r.prompt) + (sum(p.length for p in r.local) if local else len(r.response)) for r in made)
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    score(made)
    seconds = min(_seconds(lambda: score(made)) for _ in range(ROUNDS))
    used = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else None
    body = sum(p.numel() for p in model.model.layers.parameters())
    flops = 2.0 * (body * seen + model.config.vocab_size * model.config.hidden_size * n_tokens)
    return {
        "method": method.name,
        "response tokens/s": n_tokens / seconds,
        "of peak": flops / seconds / 1e12 / peak,
        "MB above the model": None if used is None else round(used / 1e6),
        "traces": pool.traces,
        "tokens each": pool.tokens,
    }


def _seconds(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begin = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _windows(made: list[Request]) -> Iterator[tuple[list[int], int]]:
    """Ids of each window, the prompt in front, and how many of its last tokens are scored."""
    for r in made:
        for p in r.local:
            yield r.prompt + r.response[p.begin : p.end], p.end - p.scored


@torch.inference_mode()
def _padded(model: Any, made: list[Request]) -> None:
    """What usual code does: windows sorted by length, padded batches, all logits, log-softmax in float32."""
    device = next(model.parameters()).device
    windows = sorted(_windows(made), key=lambda w: -len(w[0]))
    for i in range(0, len(windows), PADDED_ROWS):
        batch = windows[i : i + PADDED_ROWS]
        ids = torch.zeros((len(batch), len(batch[0][0])), dtype=torch.long, device=device)
        for row, (tokens, _) in zip(ids, batch, strict=True):
            row[: len(tokens)] = torch.tensor(tokens, device=device)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        for row, own, (tokens, n) in zip(ids, logits, batch, strict=True):
            end = len(tokens)
            scores = torch.log_softmax(own[end - 1 - n : end - 1].float(), -1)
            scores.gather(1, row[end - n : end, None]).cpu()


@torch.inference_mode()
def _one_by_one(model: Any, made: list[Request]) -> None:
    """One forward pass per window."""
    device = next(model.parameters()).device
    for tokens, n in _windows(made):
        ids = torch.tensor([tokens], device=device)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0, -n:]
        torch.log_softmax(logits.float(), -1).gather(1, ids[0, -n:, None]).cpu()


def _vllm(model: Any, pool: Pool) -> dict[str, Any]:
    """vLLM's log-probabilities of prompts, over the same windows as texts of their own."""
    from vllm import LLM, SamplingParams

    made = requests(pool, model.config.vocab_size, True, False)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        engine = LLM(folder, skip_tokenizer_init=True, dtype="bfloat16", gpu_memory_utilization=0.4)
        inputs = [{"prompt_token_ids": tokens} for tokens, _ in _windows(made)]
        asked = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
        engine.generate(inputs[:8], asked, use_tqdm=False)
        seconds = _seconds(lambda: engine.generate(inputs, asked, use_tqdm=False))
    n_tokens = sum(len(r.response) for r in made)
    return {"method": "LALP, vLLM prompt_logprobs", "response tokens/s": n_tokens / seconds, "traces": pool.traces}


def growth(name: str, device: torch.device, small: bool) -> list[dict[str, Any]]:
    """Response tokens per second of exact LALP by window and by length of prompt."""
    model = of_shape(name, device)
    engine = PackedEngine(model, 256 if small else BATCH_TOKENS)
    rows: list[dict[str, Any]] = []
    windows: tuple[int | float, ...] = (1, 4) if small else (1, 2, 4, 8, 16, 0.25)
    for window in windows:
        rows.append(_grown(engine, device, Pool(2, 40, 1, 16) if small else Pool(24, 2_000, 6, 200), window))
    for n_prompt in (8, 32) if small else (20, 200, 1_000, 4_000, 8_000):
        pool = Pool(2, 40, 1, n_prompt) if small else Pool(24, 2_000, 6, n_prompt)
        rows.append(_grown(engine, device, pool, 4))
    return rows


def _grown(engine: PackedEngine, device: torch.device, pool: Pool, window: int | float) -> dict[str, Any]:
    made = requests(pool, engine.trace.vocabulary, True, False, window)
    engine.score_many(made[:2])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    seconds = _seconds(lambda: engine.score_many(made))
    used = torch.cuda.max_memory_allocated() - before if device.type == "cuda" else None
    return {
        "window": window,
        "prompt": pool.prompt_tokens,
        "response tokens/s": pool.traces * pool.tokens / seconds,
        "MB above the model": None if used is None else round(used / 1e6),
    }


def profile(name: str, device: torch.device, small: bool) -> list[dict[str, Any]]:
    """The ten operations with most time of their own on the device, in one call of exact LALP."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    model = of_shape(name, device)
    engine = PackedEngine(model, 256 if small else BATCH_TOKENS)
    made = requests(Pool(2, 40, 1, 16) if small else Pool(24, 2_000, 6, 200), model.config.vocab_size, True, False)
    engine.score_many(made)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with record(activities=activities) as recorded:
        engine.score_many(made)
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = sorted(recorded.key_averages(), key=lambda e: -getattr(e, key))
    total = sum(getattr(e, key) for e in events) or 1
    return [
        {"operation": e.key[:80], "calls": e.count, "ms": getattr(e, key) / 1e3, "share": getattr(e, key) / total}
        for e in events[:10]
    ]
