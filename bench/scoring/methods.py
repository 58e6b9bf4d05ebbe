"""The ways to score that bench/score.py compares, on one loaded student.

All methods of a student get the same token ids, the same number of threads and weights of the same dtype. The baselines
of a dtype share one model object; ours has a process of its own, and with the decoder of our own another, so that
nothing done to a model (packed weights, other products) can reach a baseline. What each one is given, and why, is said
at its function.
"""

import ctypes
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scoring.traces import WINDOW, Trace, Window, windows
from stepsift import params, student
from stepsift.core.errors import ScoringError
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.numerics import prepare
from stepsift.score.forward.own import OwnEngine, make_engine
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.request import Request
from stepsift.score.forward.windows import local_passes

OURS, STEP, PADDED, HFLM = "this engine", "one forward per step", "padded batches of 8", "HFLM"
OURS_PACKED, OURS_OWN = "this engine, packed", "this engine, own decoder"
OURS_FULL, OURS_OWN_FULL, PLAIN_FULL = "this engine, full pass", "this engine, own decoder, full pass", "plain forward"
LOCAL, FULL = (OURS, OURS_PACKED, OURS_OWN, STEP, PADDED, HFLM), (OURS_FULL, OURS_OWN_FULL, PLAIN_FULL)
WITH_OWN = (OURS_OWN, OURS_OWN_FULL)
ALL_OURS = (OURS, OURS_PACKED, OURS_FULL, *WITH_OWN)
BATCH = 8
"""Windows a batch of the two padded baselines: what the public code and the harness's examples use on such machines."""
MATRIX = 2_048
"""Side of the square matrices whose product is the ceiling."""
_PRODUCTS = 5

Values = list[np.ndarray]
"""For each trace log-probabilities in nats: of tokens [tokens], from HFLM the sums of steps [steps with a token]."""


@dataclass(frozen=True)
class Setup:
    """What a process loads. `threads` None leaves the number that loading chose."""

    settings: params.Student
    dtype: str
    threads: int | None
    batch_tokens: int


@dataclass(frozen=True)
class Run:
    """Seconds of each call of a method on a set of traces, and what the last one gave."""

    seconds: list[float]
    values: Values


@dataclass(frozen=True)
class Facts:
    """What a share of the ceiling is computed from.

    `body`: weights of the linear layers but the output embedding; `head`: weights of the output embedding.
    """

    threads: int
    body: int
    head: int


@dataclass(frozen=True)
class Failure:
    """Why a method gave nothing, in one line."""

    reason: str


class Loaded:
    """A loaded student and the methods on it, each made when it is first asked for."""

    def __init__(self, setup: Setup):
        self.setup = setup
        files = student.locate(setup.settings)
        self.tokenizer = student.load_renderer(files, setup.settings).tokenizer
        self.model = student.load_model(files, setup.dtype, "cpu")
        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        self._warm: set[str] = set()
        self._engine: Engine | None = None
        self._packed: PackedEngine | None = None
        self._own: OwnEngine | None = None
        self._hflm: Any = None
        # Weights that are mapped from a file count as memory only when they have been touched.
        for weight in self.model.parameters():
            weight.sum()
        _plain(self.model, [1, 2, 3, 4, 5, 6, 7, 8])
        self._base_mb: float | None = None

    def run(self, method: str, traces: list[Trace], at_least_s: float) -> Run:
        """Call a method once, and again until its calls took `at_least_s`; before its first, on three steps untimed."""
        if method not in self._warm:
            self._warm.add(method)
            bounds = traces[0].bounds[:4]
            METHODS[method](self, [Trace(traces[0].prompt, traces[0].response[: bounds[-1]], bounds)])
        seconds: list[float] = []
        while not seconds or sum(seconds) < at_least_s:
            begin = time.perf_counter()
            values = METHODS[method](self, traces)
            seconds.append(time.perf_counter() - begin)
        return Run(seconds, values)

    def peak_mb(self, method: str, traces: list[Trace]) -> float | None:
        """Most memory that a method took above the loaded model, what it makes first included; None if not known.

        What the process holds before its first call is the base, so a process serves one method. Linux alone tells a
        process its own peak, and lets it begin anew.
        """
        if self._base_mb is None:
            if method == HFLM:
                import lm_eval.models.huggingface  # noqa: F401 - its modules are no memory of the method
            _free()
            self._base_mb = _status_mb("VmRSS")
        _free()
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            return None
        METHODS[method](self, traces)
        peak_mb = _status_mb("VmHWM")
        return None if peak_mb is None or self._base_mb is None else peak_mb - self._base_mb

    def facts(self) -> Facts:
        """Threads and sizes; an output embedding that is not a linear layer counts as none."""
        head = self.model.get_output_embeddings()
        linear = [m for m in self.model.modules() if isinstance(m, torch.nn.Linear)]
        body = sum(m.weight.numel() for m in linear if m is not head)
        return Facts(torch.get_num_threads(), body, head.weight.numel() if head is not None else 0)

    def ceiling(self) -> float:
        """Floating-point operations a second of the best of some products of square matrices, in this dtype.

        A plain product and, for float32, the same through oneDNN, which on some CPUs is far ahead of torch's default.
        """
        a, b = (torch.randn(MATRIX, MATRIX).to(getattr(torch, self.setup.dtype)) for _ in range(2))
        products: list[Callable[[], Any]] = [lambda: a @ b]
        if self.setup.dtype == "float32":
            packed = a.to_mkldnn(), b.to_mkldnn()
            products.append(lambda: torch.nn.functional.linear(*packed))
        best = float("inf")
        for _ in range(_PRODUCTS):
            for product in products:
                begin = time.perf_counter()
                product()
                best = min(best, time.perf_counter() - begin)
        return 2 * MATRIX**3 / best

    def engine(self) -> Engine:
        """Ours; made outside what is timed, as the model is."""
        if self._engine is None:
            prepare(self.model, params.Score.model_validate({"dtype": self.setup.dtype}), "cpu")
            self._engine = Engine(self.model, self.setup.batch_tokens)
        return self._engine

    def packed(self) -> PackedEngine:
        """Ours for packed batches, with four times the budget: its batches hold many traces."""
        if self._packed is None:
            self.engine()
            self._packed = PackedEngine(self.model, 4 * self.setup.batch_tokens)
        return self._packed

    def own(self) -> OwnEngine:
        """Ours with `score.decoder: own`; raises ScoringError where it is not used."""
        if self._own is None:
            settings = params.Score.model_validate({"dtype": self.setup.dtype, "decoder": "own"})
            prepare(self.model, settings, "cpu")
            engine = make_engine(self.model, settings, "cpu", 4 * self.setup.batch_tokens)
            if not isinstance(engine, OwnEngine):
                raise ScoringError("not known of this student, or no C++ compiler")
            self._own = engine
        return self._own

    def hflm(self) -> Any:
        """The harness's model, around the same loaded model object."""
        if self._hflm is None:
            from lm_eval.models.huggingface import HFLM as Harness  # noqa: N811

            self._hflm = Harness(pretrained=self.model, tokenizer=self.tokenizer, backend="causal", batch_size=BATCH)
        return self._hflm


def ours(loaded: Loaded, traces: list[Trace]) -> Values:
    """This engine, a trace at a time: log-probability, rank, entropy and Brier score of every token in its window."""
    values = []
    for t in traces:
        request = Request(t.prompt, t.response, local_passes(t.bounds, WINDOW), full=False)
        scored = loaded.engine().score(request).local
        assert scored is not None
        values.append(scored.logprob)
    return values


def ours_packed(loaded: Loaded, traces: list[Trace]) -> Values:
    """This engine, windows of all traces packed together: the same four values."""
    return [s.local.logprob for s in loaded.packed().score_many(_in_windows(traces)) if s.local is not None]


def ours_own(loaded: Loaded, traces: list[Trace]) -> Values:
    """The same with the decoder of our own, whose pieces are compiled before what is timed."""
    return [s.local.logprob for s in loaded.own().score_many(_in_windows(traces)) if s.local is not None]


def ours_full(loaded: Loaded, traces: list[Trace]) -> Values:
    """This engine: the same four values of every token over the whole context."""
    values = []
    for t in traces:
        scored = loaded.engine().score(Request(t.prompt, t.response, [], full=True)).full
        assert scored is not None
        values.append(scored.logprob)
    return values


def ours_own_full(loaded: Loaded, traces: list[Trace]) -> Values:
    """The decoder of our own: the same four values of every token over the whole context, traces packed together."""
    requests = [Request(t.prompt, t.response, [], full=True) for t in traces]
    return [s.full.logprob for s in loaded.own().score_many(requests) if s.full is not None]


@torch.inference_mode()
def one_forward_a_step(loaded: Loaded, traces: list[Trace]) -> Values:
    """The obvious way: a forward pass for every window, logits of all positions, log-softmax in float32."""
    values = []
    for trace in traces:
        found = [_plain(loaded.model, w.context + w.step)[len(w.context) - 1 :] for w in windows(trace)]
        values.append(np.concatenate(found))
    return values


@torch.inference_mode()
def padded_batches(loaded: Loaded, traces: list[Trace]) -> Values:
    """What public code does: batches of 8 windows in the order of the data, padded to the right, with a mask.

    Logits of all positions, log-softmax in float32. Batches may hold windows of several traces.
    """
    values = [np.full(len(t.response), np.nan, dtype=np.float32) for t in traces]
    all_windows = [(out, w) for t, out in zip(traces, values, strict=True) for w in windows(t)]
    for begin in range(0, len(all_windows), BATCH):
        batch = all_windows[begin : begin + BATCH]
        rows = [w.context + w.step for _, w in batch]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        logprobs = torch.log_softmax(logits[:, :-1].float(), dim=-1).gather(2, ids[:, 1:, None])[..., 0]
        for (out, w), row in zip(batch, logprobs, strict=True):
            at = len(w.context) - 1
            out[w.begin : w.begin + len(w.step)] = row[at : at + len(w.step)].numpy()
    return values


def harness(loaded: Loaded, traces: list[Trace]) -> Values:
    """lm-evaluation-harness: `HFLM._loglikelihood_tokens`, one request a window, all windows in one call.

    Batch size 8 and all else as the harness has it: it sorts by length, pads to the right without a mask, and takes
    log-softmax of all logits in the model's dtype (`softmax_dtype` None), float32 where the student is float32.
    The texts of a request are only keys of its cache, which is off, so they are empty.
    """
    per_trace: list[list[Window]] = [windows(t) for t in traces]
    requests = [(("", ""), w.context, w.step) for found in per_trace for w in found]
    sums = iter(loaded.hflm()._loglikelihood_tokens(requests, disable_tqdm=True))
    return [np.array([next(sums)[0] for _ in found]) for found in per_trace]


@torch.inference_mode()
def plain_full(loaded: Loaded, traces: list[Trace]) -> Values:
    """The obvious full pass: a forward pass a trace, logits of all positions, log-softmax in float32."""
    return [_plain(loaded.model, t.prompt + t.response)[len(t.prompt) - 1 :] for t in traces]


METHODS: dict[str, Callable[[Loaded, list[Trace]], Values]] = {
    OURS: ours,
    OURS_PACKED: ours_packed,
    OURS_OWN: ours_own,
    STEP: one_forward_a_step,
    PADDED: padded_batches,
    HFLM: harness,
    OURS_FULL: ours_full,
    OURS_OWN_FULL: ours_own_full,
    PLAIN_FULL: plain_full,
}


def _in_windows(traces: list[Trace]) -> list[Request]:
    return [Request(t.prompt, t.response, local_passes(t.bounds, WINDOW), full=False) for t in traces]


@torch.inference_mode()
def _plain(model: Any, row: list[int]) -> np.ndarray:
    """Log-probabilities of all tokens of a row but the first, float32."""
    ids = torch.tensor([row])
    logits = model(input_ids=ids, use_cache=False).logits
    return torch.log_softmax(logits[0, :-1].float(), dim=-1).gather(1, ids[0, 1:, None])[:, 0].numpy()


def _free() -> None:
    """Give memory that is no longer used back to the system, so that it is not counted."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status_mb(key: str) -> float | None:
    """A figure of this process in MB (10^6 bytes): VmRSS is what it holds, VmHWM the most since the last reset.

    None where there is no such file: Linux alone has it.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{key}:")), None)
