"""How far a run is: a bar on a terminal, plain lines in a log, numbers for MLflow."""

import functools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from stepsift.core.pace import ProgressBar, duration
from stepsift.core.text import count
from stepsift.score.forward.devices import wait_for
from stepsift.score.forward.numerics import onednn_linear

_CPU_SIZE = 1_024
"""Rows of the matrices whose product is measured on processors."""
_MOST_S = 0.5
"""Seconds that one such product may take."""
OnProgress = Callable[[dict[str, float], int], None]
"""Called with numbers of the moment, and the traces done so far."""


@dataclass
class Progress:
    """What a run has done so far. `total` is how many traces it will see.

    `ceiling` measures the flops a second of a product, once something was computed.
    `tokens` are those of responses, `computed` those of responses that went through the student in this run, `flops`
    what that took (see local.ModelSize.flops); `from_cache` are traces for which nothing was computed.
    """

    total: int = 0
    ceiling: Callable[[], float] | None = None
    traces: int = 0
    scored: int = 0
    tokens: int = 0
    computed: int = 0
    flops: float = 0.0
    from_cache: int = 0
    steps_without_tokens: int = 0
    full_not_possible: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def metrics(self) -> dict[str, Any]:
        """Counts that depend on the input alone, never on the machine, the cache or the time."""
        return {
            "traces": self.traces,
            "scored": self.scored,
            "response_tokens": self.tokens,
            "steps_without_tokens": self.steps_without_tokens,
            "full_pass_not_possible": self.full_not_possible,
            "rejected": dict(sorted(self.rejected.items())),
        }

    def speed(self) -> dict[str, float]:
        """Seconds so far and what was done in them: true of one machine and one run.

        `share_of_ceiling` is of the flops a second that one large matrix product reaches on this machine.
        """
        seconds = max(time.monotonic() - self.started, 1e-9)
        numbers = {
            "seconds": seconds,
            "response_tokens_per_s": self.computed / seconds,
            "traces_from_cache": float(self.from_cache),
        }
        if self.ceiling and self.computed:
            numbers["share_of_ceiling"] = self.flops / seconds / self.ceiling()
        return numbers

    def seconds_left(self) -> float | None:
        """At the speed so far, counted in traces that were not in the cache; None while nothing can be said."""
        computed = self.traces - self.from_cache
        left = self.total - self.traces
        if left == 0 or not computed:
            return 0.0 if left == 0 else None
        return left * (time.monotonic() - self.started) / computed

    def line(self) -> str:
        """All of it in one line."""
        speed = self.speed()
        parts = [f"{self.traces:,} of {count(self.total, 'trace')}", f"{self.from_cache:,} from the cache"]
        if self.computed:
            share = f" ({speed['share_of_ceiling']:.0%} of ceiling)" if self.ceiling else ""
            parts.append(f"{speed['response_tokens_per_s']:,.0f} tokens/s{share}")
        left = self.seconds_left()
        if left:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


class Reporter:
    """Says how far a run is; use as a context manager and call `tick` after each trace."""

    def __init__(self, progress: Progress, on_progress: OnProgress | None = None):
        self.progress, self._on_progress = progress, on_progress
        self._bar = ProgressBar(progress.total)

    def __enter__(self) -> "Reporter":
        self._bar.__enter__()
        return self

    def tick(self) -> None:
        """Say so if it is time."""
        is_due = self._bar.update(self.progress.traces, self.progress.line())
        if is_due and self._on_progress is not None:
            self._on_progress(self.progress.speed(), self.progress.traces)

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()


def ceiling(device: str, dtype: str) -> float:
    """Flops a second of one large matrix product on this device, the best of a few, whoever multiplies.

    A processor may take seconds for it (float16 without instructions of its own): then of a smaller one. Measured once
    per process and number of threads: a run's references and variants are scored on the same machine.
    """
    return _measure_ceiling(device, dtype, torch.get_num_threads())


@functools.cache
def _measure_ceiling(device: str, dtype: str, threads: int) -> float:
    ways: list[Callable[..., torch.Tensor]] = [torch.mm]
    if device == "cpu" and dtype == "float32" and torch.backends.mkldnn.is_available():
        ways.append(onednn_linear)
    if device != "cpu":
        return _best_flops(ways * 5, 8_192, device, dtype)
    small = _best_flops(ways * 3, 256, device, dtype)
    is_slow = 2.0 * _CPU_SIZE**3 / small > _MOST_S
    return small if is_slow else _best_flops(ways * 3, _CPU_SIZE, device, dtype)


def _best_flops(ways: list[Callable[..., torch.Tensor]], n: int, device: str, dtype: str) -> float:
    """Flops a second of the quickest of these products of two n by n matrices."""
    a = torch.ones((n, n), dtype=getattr(torch, dtype), device=device)
    best = float("inf")
    for multiply in ways:
        wait_for(device)
        start = time.perf_counter()
        multiply(a, a)
        wait_for(device)
        best = min(best, time.perf_counter() - start)
    return 2.0 * n**3 / best
