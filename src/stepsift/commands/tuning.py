"""Which settings score fastest on this machine, with this student, on these traces: measured, never assumed.

`turn_timing.py` times settings in turns and judges; here are the settings, the student that is timed, and what is said
of it. A sample holds few candidates of one prompt: what packed batches save by computing a prompt once for all is not
seen.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from stepsift import params, student
from stepsift.commands import precision
from stepsift.commands.estimate import plan_sample
from stepsift.commands.turn_timing import SMALLEST_GAIN, Fastest, ImpossibleError, judge, time_in_turns
from stepsift.core.errors import ScoringError
from stepsift.core.text import count
from stepsift.ingest.run import SampleTrace
from stepsift.placement import Memory
from stepsift.score.backends.local import ModelSize, is_out_of_memory, model_size, score_requests
from stepsift.score.forward.devices import wait_for
from stepsift.score.forward.numerics import batch_tokens, batching, prepare, products
from stepsift.score.forward.own import is_known, make_engine
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.pieces import compiler
from stepsift.score.forward.products import are_bfloat16_numbers
from stepsift.score.forward.request import Request
from stepsift.score.identity import of_student
from stepsift.score.plan import Planned, Planner
from stepsift.score.progress import ceiling

PRODUCTS_SHARE = 0.2
"""Of the time: for choosing who multiplies matrices, at the present budget. Budgets are then compared for the winner
alone, since twice as many settings would leave each half the turns."""
DECODERS_SHARE = 0.3
"""Of the time, where there are two decoders: for the best setting of the present one against the other."""
_DECODER_BUDGETS = 1_024, 2_048
"""Tokens of a batch in which the other decoder is tried, besides those of the best setting."""
_FIRST_TURN_SHARE = 0.25
"""Of the time: for the first turn of about a dozen budgets, in which none has dropped out yet."""


@dataclass(frozen=True)
class Setting:
    """Values of score.batching, score.batch_tokens, score.products and score.decoder; the last two are None where there
    is no choice. `dtype`: not the one that is set, for a row to read and never a proposal."""

    batching: str
    batch_tokens: int
    products: str | None
    decoder: str | None = None
    dtype: str | None = None

    def __str__(self) -> str:
        decoder = "own" if self.decoder == "own" else None
        values = decoder, self.batching, self.batch_tokens, self.products, self.dtype
        return " ".join(str(value) for value in values if value is not None)

    def lines(self) -> list[str]:
        """The setting as params.yaml has it."""
        names = "batching", "batch_tokens", "products", "decoder"
        values = {name: getattr(self, name) for name in names}
        return ["score:", *(f"  {name}: {value}" for name, value in values.items() if value is not None)]


def present(settings: params.Score, device: str, decoder: str | None = None) -> Setting:
    """What these settings come to on this device; `decoder`: the one that is set, None where there is no choice."""
    choice = products(settings, device) if _may_choose_products(settings, device) else None
    return Setting(batching(settings, device), batch_tokens(settings, device), choice, decoder)


def candidates(settings: params.Score, device: str, decoder: str | None = None) -> list[Setting]:
    """The settings to compare, of one decoder: the present one, then those most like it, in case time is short."""
    now = present(settings, device, decoder)
    budgets = [2**i for i in (range(8, 14) if device == "cpu" else range(12, 17))]
    libraries = ("native", "onednn") if now.products else (None,)
    every = {Setting(b, n, p, decoder) for b in ("trace", "packed") for n in budgets for p in libraries} - {now}

    def unlikeness(s: Setting) -> tuple[bool, float, int, bool]:
        distance = abs(math.log2(s.batch_tokens / now.batch_tokens))
        return s.batching != now.batching, distance, s.batch_tokens, s.products != now.products

    return [now, *sorted(every, key=unlikeness)]


def of_other_decoder(best: Setting) -> list[Setting]:
    """The decoder that `best` does not use, trace by trace and packed, in batches that suit either."""
    other = "model" if best.decoder == "own" else "own"
    budgets = sorted({best.batch_tokens, *_DECODER_BUDGETS})
    return [replace(best, decoder=other, batching=b, batch_tokens=n) for b in ("packed", "trace") for n in budgets]


def _may_choose_products(settings: params.Score, device: str) -> bool:
    return device == "cpu" and settings.dtype == "float32" and torch.backends.mkldnn.is_available()


class Bench:
    """The student with every way to score it; `run` times one of them over `requests`."""

    def __init__(self, settings: params.Params, device: str):
        files = student.locate(settings.student)
        self.device, self.settings = device, of_student(settings.score, student.count_parameters(files))
        self._all = settings
        self.model = student.load_model(files, self.settings.dtype, device)
        self.size: ModelSize = model_size(self.model, student.context_tokens(self.model.config, settings.student))
        self.ceiling = ceiling(device, self.settings.dtype)
        self.requests: list[Request] = []
        self.peak_bytes: dict[Setting, int] = {}
        self._engines: dict[tuple[str, str | None], Any] = {}
        prepare(self.model, self.settings.model_copy(update={"products": "native"}), device)
        self._prepared = "native" if _may_choose_products(self.settings, device) else None

    def knows_decoder(self) -> bool:
        """Whether the decoder of ours is one that this student could be scored by, if there is a compiler."""
        return is_known(self.model.config, self.settings, self.device)

    def in_bfloat16(self) -> "Bench | None":
        """The same student in bfloat16; None where its weights would be rounded, or memory has no room for both."""
        n_bytes = sum(p.numel() * p.element_size() for p in self.model.parameters())
        if self.settings.dtype != "float32" or not are_bfloat16_numbers(self.model) or Memory.free().main < n_bytes:
            return None
        score = self.settings.model_copy(update={"dtype": "bfloat16"})
        other = Bench(self._all.model_copy(update={"score": score}), self.device)
        other.requests = self.requests
        return other

    def compile(self, setting: Setting) -> str:
        """Run what the decoder of ours compiles at its first passes; what to say of it.

        Raises ImpossibleError where it does not give the student's own values.
        """
        start = time.perf_counter()
        for way in ("trace", "packed"):
            self.run(replace(setting, batching=way))
        seconds = time.perf_counter() - start
        return (
            f"score.decoder: own gives the student's own values; compiling it with {compiler()} took {seconds:.0f} s, "
            "which no row counts (torch keeps what it made)"
        )

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
            f"{'setting':32}{'tokens/s':>10}{'of ceiling':>12}{'turns':>7}{'  memory' if self.peak_bytes else ''}",
        ]
        for setting, seconds in sorted(times.items(), key=lambda item: statistics.median(item[1])):
            median = statistics.median(seconds)
            memory = f"{self.peak_bytes[setting] / 1e6:>6.0f} MB" if self.peak_bytes else ""
            share = f"{flops / median / self.ceiling:.0%}" if setting.dtype is None else ""
            mark = "  as it is" if setting == now else ""
            lines.append(f"{setting!s:32}{tokens / median:>10,.0f}{share:>12}{len(seconds):>7}{memory}{mark}")
        lines += [f"{setting!s:32}not possible: {why}" for setting, why in impossible.items()]
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
        # An engine looks at its model's layers when it is made. That of ours makes the weights views of its own, and
        # serves traces one by one and many.
        own = setting.decoder == "own"
        kind = "own" if own else setting.batching, setting.products
        if kind not in self._engines:
            if own:
                self._engines = {k: engine for k, engine in self._engines.items() if k[0] != "own"}
            update = {"batching": setting.batching, "decoder": setting.decoder or "model"}
            settings = self.settings.model_copy(update=update)
            try:
                self._engines[kind] = make_engine(self.model, settings, self.device, setting.batch_tokens)
            except ScoringError as e:
                raise ImpossibleError(str(e)) from e
        engine = self._engines[kind]
        engine.batch_tokens = setting.batch_tokens
        if isinstance(engine, PackedEngine):
            engine.trace.batch_tokens = setting.batch_tokens
        return engine


@dataclass
class Race:
    """What was measured: seconds by setting and turn, why some could not run, and what is said besides."""

    times: dict[Setting, list[float]]
    impossible: dict[Setting, str]
    fastest: Fastest[Setting]
    n_untried: int = 0
    notes: tuple[str, ...] = ()


def propose(settings: params.Params, sample: Sequence[SampleTrace], seconds: float) -> list[str]:
    """Measure for about so many seconds, once the student is loaded; lines to read, the last ones for params.yaml.

    What is compiled on the way takes its own time. Raises StudentError or ScoringError if the student cannot be loaded,
    or not one trace of the sample be scored.
    """
    device = student.pick_device(settings.score.device)
    bench = Bench(settings, device)
    requests = bench.plan(sample)
    decoder, notes = None, []
    if precision.scoring_is_slow(settings.score, bench.model.config):
        notes.append(precision.sentence(["score.dtype"]))
    if bench.knows_decoder():
        if compiler() is None:
            notes.append("score.decoder: own was not measured: there is no C++ compiler here; install g++ to try it")
        else:
            decoder = settings.score.decoder
    for_decoders = DECODERS_SHARE * seconds if decoder else 0.0
    now = present(bench.settings, device, decoder)
    if decoder == "own":
        bench.requests = requests[:1]
        notes.append(bench.compile(now))
    race = race_batches(bench, requests, candidates(bench.settings, device, decoder), seconds - for_decoders)
    if decoder:
        race = race_decoders(bench, race, now, for_decoders)
    lines = bench.report(now, race.times, race.impossible, race.n_untried)
    return [*lines, *notes, *race.notes, *advice(race.fastest, now)]


def race_batches(bench: Bench, requests: list[Request], settings: list[Setting], seconds: float) -> Race:
    """Settings of one decoder, the present one first, on as many of the requests as there is time for."""
    start = time.perf_counter()
    now, *others = settings
    # The setting that needs least: the present one may be more than this machine's memory holds.
    least = min((s for s in settings if s.batching == "trace"), key=lambda s: s.batch_tokens)
    bench.pick(requests, least, seconds * _FIRST_TURN_SHARE / 12)
    times: dict[Setting, list[float]] = {}
    proposal = now
    if rivals := [s for s in others if (s.batching, s.batch_tokens) == (now.batching, now.batch_tokens)]:
        times, _ = time_in_turns([now, *rivals], bench.run, seconds * PRODUCTS_SHARE)
        if times and not (fastest := judge(times, now)).keep:
            proposal = fastest.best
    racing = [now, *(s for s in others if s.products == proposal.products)]
    final, impossible = time_in_turns(racing, bench.run, seconds - (time.perf_counter() - start))
    return Race(times | final, impossible, judge(final, now), len(racing) - len(final) - len(impossible))


def race_decoders(bench: Bench, batches: Race, now: Setting, seconds: float) -> Race:
    """The best setting of the present decoder against the other decoder, and both in bfloat16, each for half the time.

    The decoder of ours is left out where it does not give the student's own values.
    """
    best = now if batches.fastest.keep else batches.fastest.best
    rivals, notes = of_other_decoder(best), batches.notes
    if best.decoder != "own":
        try:
            notes += (bench.compile(rivals[0]),)
        except ImpossibleError as e:
            return replace(batches, notes=(*notes, f"score.decoder: own was not measured: {e}"))
    racing = [*dict.fromkeys((now, best)), *rivals]
    times, impossible = time_in_turns(racing, bench.run, seconds / 2)
    fastest = judge(times, now)
    rows, said = race_in_bfloat16(bench, now if fastest.keep else fastest.best, seconds / 2)
    n_untried = batches.n_untried + len(racing) - len(times) - len(impossible)
    return Race(batches.times | times | rows, batches.impossible | impossible, fastest, n_untried, (*notes, *said))


def race_in_bfloat16(bench: Bench, best: Setting, seconds: float) -> tuple[dict[Setting, list[float]], list[str]]:
    """Both decoders in bfloat16, where the student's weights are such numbers, against the best in float32: rows to
    read, since bfloat16 rounds, and a sentence where it is faster.

    A race of its own, so that a fast row drops no setting that may be proposed.
    """
    rounded = bench.in_bfloat16()
    if rounded is None:
        return {}, []
    other = Setting("packed", best.batch_tokens, None, "own", "bfloat16")
    try:
        rounded.compile(other)
    except ImpossibleError as e:
        return {}, [f"score.dtype: bfloat16 was not measured: {e}"]

    def run(setting: Setting) -> float:
        return (bench if setting == best else rounded).run(setting)

    times, _ = time_in_turns([best, other, replace(other, decoder="model")], run, seconds)
    fastest = judge(times, best)
    said = f"{fastest.best} is {fastest.gain - 1:.0%} faster than {best}, and rounds: score.dtype is yours to set"
    return {s: t for s, t in times.items() if s != best}, [] if fastest.keep else [said]


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
