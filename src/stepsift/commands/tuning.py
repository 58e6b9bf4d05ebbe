"""Which settings score fastest on this machine, with this student, on these traces: measured, never assumed.

`turn_timing.py` times settings in turns and judges; here are the settings, the student that is timed, and what is said
of it. A sample holds few candidates of one prompt: what packed batches save by computing a prompt once for all is not
seen.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stepsift import params, student
from stepsift.commands.estimate import plan_sample
from stepsift.commands.turn_timing import SMALLEST_GAIN, Fastest, ImpossibleError, judge, time_in_turns
from stepsift.core.errors import ScoringError
from stepsift.core.text import count
from stepsift.ingest.run import SampleTrace
from stepsift.score.backends.local import ModelSize, is_out_of_memory, model_size, score_requests
from stepsift.score.forward.devices import wait_for
from stepsift.score.forward.numerics import batch_tokens, batching, prepare, products
from stepsift.score.forward.own import make_engine
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.request import Request
from stepsift.score.plan import Planned, Planner
from stepsift.score.progress import ceiling

PRODUCTS_SHARE = 0.2
"""Of the time: for choosing who multiplies matrices, at the present budget. Budgets are then compared for the winner
alone, since twice as many settings would leave each half the turns."""
_FIRST_TURN_SHARE = 0.25
"""Of the time: for the first turn of about a dozen budgets, in which none has dropped out yet."""


@dataclass(frozen=True)
class Setting:
    """Values of score.batching, score.batch_tokens and score.products; products is None where there is no choice."""

    batching: str
    batch_tokens: int
    products: str | None

    def __str__(self) -> str:
        return " ".join(str(value) for value in (self.batching, self.batch_tokens, self.products) if value is not None)

    def lines(self) -> list[str]:
        """The setting as params.yaml has it."""
        values = {"batching": self.batching, "batch_tokens": self.batch_tokens, "products": self.products}
        return ["score:", *(f"  {name}: {value}" for name, value in values.items() if value is not None)]


def present(settings: params.Score, device: str) -> Setting:
    """What these settings come to on this device."""
    choice = products(settings, device) if _may_choose_products(settings, device) else None
    return Setting(batching(settings, device), batch_tokens(settings, device), choice)


def candidates(settings: params.Score, device: str) -> list[Setting]:
    """The settings to compare: the present one, then those most like it, in case time is short."""
    now = present(settings, device)
    budgets = [2**i for i in (range(8, 14) if device == "cpu" else range(12, 17))]
    libraries = ("native", "onednn") if now.products else (None,)
    every = {Setting(b, n, p) for b in ("trace", "packed") for n in budgets for p in libraries} - {now}

    def unlikeness(s: Setting) -> tuple[bool, float, int, bool]:
        distance = abs(math.log2(s.batch_tokens / now.batch_tokens))
        return s.batching != now.batching, distance, s.batch_tokens, s.products != now.products

    return [now, *sorted(every, key=unlikeness)]


def _may_choose_products(settings: params.Score, device: str) -> bool:
    return device == "cpu" and settings.dtype == "float32" and torch.backends.mkldnn.is_available()


class Bench:
    """The student with every way to score it; `run` times one of them over `requests`."""

    def __init__(self, settings: params.Params, device: str):
        self.device, self.settings, self._all = device, settings.score, settings
        self.model = student.load_model(student.locate(settings.student), self.settings.dtype, device)
        self.size: ModelSize = model_size(self.model, student.context_tokens(self.model.config, settings.student))
        self.ceiling = ceiling(device, self.settings.dtype)
        self.requests: list[Request] = []
        self.peak_bytes: dict[Setting, int] = {}
        self._engines: dict[tuple[str, str | None], Any] = {}
        prepare(self.model, self.settings.model_copy(update={"products": "native"}), device)
        self._prepared = "native" if _may_choose_products(self.settings, device) else None

    def plan(self, sample: Sequence[SampleTrace]) -> list[Request]:
        """Requests of the sampled traces that can be scored; raises ScoringError if there is none."""
        renderer = student.load_renderer(student.locate(self._all.student), self._all.student)
        planner = Planner(renderer, self.settings, self.size.context, self.size.vocabulary)
        plans = plan_sample(planner, sample, self._all.segment)
        requests = [planned.request() for _, planned in plans if isinstance(planned, Planned)]
        if not requests:
            raise ScoringError(
                f"not one of {count(len(sample), 'sampled trace')} can be scored; 'stepsift check' says why and "
                "what they are"
            )
        return requests

    def report(
        self, now: Setting, times: dict[Setting, list[float]], impossible: dict[Setting, str], n_untried: int
    ) -> list[str]:
        """The table: settings, fastest first, with tokens of responses a second and the share of the ceiling."""
        tokens = sum(len(r.response) for r in self.requests)
        flops = sum(self.size.flops(r) for r in self.requests)
        lines = [
            f"{count(len(self.requests), 'trace')}, {count(tokens, 'response token')}, "
            f"{self.settings.dtype} on {self.device}; a large matrix product reaches {self.ceiling / 1e9:,.0f} Gflop/s",
            f"{'setting':24}{'tokens/s':>10}{'of ceiling':>12}{'turns':>7}{'  memory' if self.peak_bytes else ''}",
        ]
        for setting, seconds in sorted(times.items(), key=lambda item: statistics.median(item[1])):
            median = statistics.median(seconds)
            memory = f"{self.peak_bytes[setting] / 1e6:>6.0f} MB" if self.peak_bytes else ""
            share = f"{flops / median / self.ceiling:.0%}"
            mark = "  as it is" if setting == now else ""
            lines.append(f"{setting!s:24}{tokens / median:>10,.0f}{share:>12}{len(seconds):>7}{memory}{mark}")
        lines += [f"{setting!s:24}not possible: {why}" for setting, why in impossible.items()]
        if n_untried:
            lines.append(f"{count(n_untried, 'more setting')} had no time; give more --seconds to see them")
        return lines

    def pick(self, requests: list[Request], setting: Setting, seconds: float) -> None:
        """Take so many of the requests that a setting needs about so long for them; at least one."""
        self.requests = requests[:1]
        self.run(setting)  # the first of all runs is slower: memory, kernels
        while (taken := self.run(setting)) < seconds / 2 and len(self.requests) < len(requests):
            factor = min(4.0, max(2.0, seconds / taken))
            self.requests = requests[: int(len(self.requests) * factor)]

    def run(self, setting: Setting) -> float:
        """Seconds for all requests; raises ImpossibleError if the setting cannot be used."""
        engine = self._engine(setting)
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
        start = time.perf_counter()
        try:
            for requests in [self.requests] if setting.batching == "packed" else [[r] for r in self.requests]:
                score_requests(engine, requests)
        except (MemoryError, RuntimeError) as e:
            if not is_out_of_memory(e):
                raise
            raise ImpossibleError(f"out of memory at batch_tokens {setting.batch_tokens}") from e
        wait_for(self.device)
        if self.device == "cuda":
            self.peak_bytes[setting] = torch.cuda.max_memory_allocated(self.device) - before
        return time.perf_counter() - start

    def _engine(self, setting: Setting) -> Any:
        if setting.products != self._prepared:
            for module in self.model.modules():
                if isinstance(module, torch.nn.Linear):
                    vars(module).pop("forward", None)  # what `prepare` puts there
            choice = {} if setting.products is None else {"products": setting.products}
            prepare(self.model, self.settings.model_copy(update=choice), self.device)
            self._prepared = setting.products
        # An engine looks at its model's layers when it is made.
        kind = setting.batching, setting.products
        if kind not in self._engines:
            settings = self.settings.model_copy(update={"batching": setting.batching})
            try:
                self._engines[kind] = make_engine(self.model, settings, self.device, setting.batch_tokens)
            except ScoringError as e:
                raise ImpossibleError(str(e)) from e
        engine = self._engines[kind]
        engine.batch_tokens = setting.batch_tokens
        if isinstance(engine, PackedEngine):
            engine.trace.batch_tokens = setting.batch_tokens
        return engine


def propose(settings: params.Params, sample: Sequence[SampleTrace], seconds: float) -> list[str]:
    """Measure for about so many seconds, once the student is loaded; lines to read, the last ones for params.yaml.

    Raises StudentError or ScoringError if the student cannot be loaded, or not one trace of the sample be scored.
    """
    device = student.pick_device(settings.score.device)
    bench = Bench(settings, device)
    requests = bench.plan(sample)
    start = time.perf_counter()
    now, *others = candidates(settings.score, device)
    # The setting that needs least: the present one may be more than this machine's memory holds.
    least = min((s for s in [now, *others] if s.batching == "trace"), key=lambda s: s.batch_tokens)
    bench.pick(requests, least, seconds * _FIRST_TURN_SHARE / 12)
    times: dict[Setting, list[float]] = {}
    proposal = now
    if rivals := [s for s in others if (s.batching, s.batch_tokens) == (now.batching, now.batch_tokens)]:
        times, _ = time_in_turns([now, *rivals], bench.run, seconds * PRODUCTS_SHARE)
        if times and not (fastest := judge(times, now)).keep:
            proposal = fastest.best
    racing = [now, *(s for s in others if s.products == proposal.products)]
    final, impossible = time_in_turns(racing, bench.run, seconds - (time.perf_counter() - start))
    return bench.report(now, times | final, impossible, len(racing) - len(final) - len(impossible)) + advice(
        judge(final, now), now
    )


def advice(fastest: Fastest[Setting], now: Setting) -> list[str]:
    """What to do, and the lines for params.yaml."""
    if fastest.keep:
        noise = max(SMALLEST_GAIN, fastest.noise)
        why = f"{fastest.best} is {fastest.gain - 1:.0%} faster, within the noise of {noise:.0%}"
        return [f"keep what you have ({'nothing is faster' if fastest.best == now else why}):", *now.lines()]
    gain = f"{fastest.gain - 1:.0%} faster than {now}" if math.isfinite(fastest.gain) else f"{now} cannot be used here"
    note = (
        ["packed values agree with those of trace within rounding, and depend on what shares a batch"]
        if fastest.best.batching == "packed" != now.batching
        else []
    )
    return [
        f"{fastest.best} is best: {gain} (noise {fastest.noise:.0%})",
        "scores of two settings are never mixed: with other settings every trace is scored once more",
        *note,
        "for params.yaml:",
        *fastest.best.lines(),
    ]
