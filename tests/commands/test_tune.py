"""Settings raced on a clock that we turn, and the real thing on a tiny student."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from helpers.score_cases import MESSAGES, RESPONSE
from stepsift import params
from stepsift.commands import tuning, turn_timing
from stepsift.commands.tuning import (
    Bench,
    Race,
    Setting,
    advice,
    candidates,
    of_other_decoder,
    present,
    propose,
    race_decoders,
)
from stepsift.commands.turn_timing import KEPT, TURNS, Fastest, ImpossibleError, judge, time_in_turns
from stepsift.core.errors import ScoringError
from stepsift.ingest.run import SampleTrace
from stepsift.score.forward import own
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.numerics import describe_numerics
from stepsift.score.forward.own import OwnEngine
from stepsift.score.forward.pieces import LayerPieces
from stepsift.score.forward.products import are_bfloat16_numbers
from stepsift.score.identity import of_student

SHORT = "So x = 4. Yes!\n\nThe answer is 7."


class Track:
    """Settings that need so many seconds each, on a clock of our own; what runs is remembered."""

    def __init__(self, **seconds: float | str):
        self.seconds, self.time = seconds, 0.0
        self.ran: list[str] = []

    def run(self, name: str) -> float:
        self.ran.append(name)
        needed = self.seconds[name]
        if isinstance(needed, str):
            raise ImpossibleError(needed)
        self.time += needed
        return needed

    def turns(self, seconds: float) -> tuple[dict[str, list[float]], dict[str, str]]:
        return time_in_turns(list(self.seconds), self.run, seconds, lambda: self.time)


def test_what_is_clearly_behind_drops_out_and_the_present_setting_never() -> None:
    track = Track(now=2.0, fast=1.0, near=1.2, far=1.4, out=1.6)
    times, impossible = track.turns(1e9)
    # Limits after the turns: 1.5, 1.25, 1.15 times the best.
    assert {name: len(t) for name, t in times.items()} == {"now": TURNS, "fast": TURNS, "near": 3, "far": 2, "out": 1}
    assert KEPT == (1.5, 1.25, 1.15) and impossible == {}
    # In alternation: forwards and backwards.
    assert track.ran[:9] == ["now", "fast", "near", "far", "out", "far", "near", "fast", "now"]


def test_the_turns_end_in_time() -> None:
    track = Track(now=1.0, a=1.0, b=1.0)
    times, _ = track.turns(8.0)  # turns take 3 seconds: a third would end after 9
    assert (track.time, {len(t) for t in times.values()}) == (6.0, {2})
    # A first turn that takes too long is broken off behind the setting with which the time is up.
    times, _ = Track(now=3.0, a=3.0, b=3.0).turns(5.0)
    assert times == {"now": [3.0], "a": [3.0]}
    # At least one is timed.
    assert Track(now=3.0, a=3.0).turns(0.1)[0] == {"now": [3.0]}


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=6), st.floats(0.01, 200))
def test_time_is_kept_but_for_what_runs_as_it_ends(needed: list[float], seconds: float) -> None:
    track = Track(**{str(i): s for i, s in enumerate(needed)})
    times, _ = track.turns(seconds)
    assert track.time <= seconds + max(needed) + 1e-9
    assert max(map(len, times.values())) <= TURNS
    assert len(times["0"]) == max(map(len, times.values()))


def test_what_cannot_run_is_told_apart() -> None:
    times, impossible = Track(now="no memory", a=1.0, b="no packing").turns(10.0)
    assert times == {"a": [1.0] * 10}
    assert impossible == {"now": "no memory", "b": "no packing"}
    assert judge(times, "now") == Fastest("a", float("inf"), 0.0)
    assert not judge(times, "now").keep
    times, _ = Track(now="no memory").turns(10.0)
    with pytest.raises(ScoringError, match="not one setting can score these traces here"):
        judge(times, "now")


def test_gain_and_noise_by_hand() -> None:
    # Ratios 1.1, 1.2, 1.3: median 1.2; quartiles of three are the ends: 2 * 1.253 / 1.349 * 0.2 / sqrt(3) = 0.2145.
    times = {"now": [1.1, 2.4, 1.3], "best": [1.0, 2.0, 1.0], "gone": [0.5]}
    verdict = judge(times, "now")
    assert verdict.best == "best"
    assert verdict.gain == pytest.approx(1.2)
    assert verdict.noise == pytest.approx(0.2145, abs=1e-4)
    assert verdict.keep
    steady = judge({"now": [1.1] * 4, "best": [1.0] * 4}, "now")
    assert (steady.gain, steady.noise, steady.keep) == (pytest.approx(1.1), pytest.approx(0), False)
    # Sure, and not worth it.
    assert judge({"now": [1.02] * 4, "best": [1.0] * 4}, "now").keep
    # One turn says little.
    assert judge({"now": [1.9], "best": [1.0]}, "now").keep
    assert judge({"now": [1.0] * 3, "other": [1.1] * 3}, "now") == Fastest("now", 1.0, 0.0)


def test_candidates_are_those_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = params.Score(batch_tokens=300, products="native", batching="packed")
    found = candidates(settings, "cpu")
    assert found[0] == present(settings, "cpu") == Setting("packed", 300, "native")
    assert found[1] == Setting("packed", 256, "native")
    assert len(found) == len(set(found)) == 1 + 6 * 2 * 2
    assert {s.batch_tokens for s in found[1:]} == {256, 512, 1024, 2048, 4096, 8192}
    # Only float32 on a CPU has a choice of products.
    assert {s.products for s in candidates(params.Score(dtype="bfloat16"), "cpu")} == {None}
    on_cuda = candidates(params.Score(), "cuda")
    assert on_cuda[0] == Setting("packed", 32_768, None)
    assert {s.batch_tokens for s in on_cuda} == {4_096, 8_192, 16_384, 32_768, 65_536}
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert {s.products for s in candidates(params.Score(), "cpu")} == {None}


def written(lines: list[str]) -> dict:
    """What the lines at the end, from `score:` on, say to YAML."""
    return yaml.safe_load("\n".join(lines[lines.index("score:") :]))


def test_advice_is_kept_apart_from_noise() -> None:
    now, best = Setting("trace", 512, "native"), Setting("packed", 2048, "onednn")
    change = advice(Fastest(best, 1.31, 0.04), now)
    assert change[0].startswith("packed 2048 onednn is best: 31% faster than trace 512 native (noise 4%)")
    assert any("depend on what shares a batch" in line for line in change)
    assert written(change) == {"score": {"batching": "packed", "batch_tokens": 2048, "products": "onednn"}}
    keep = advice(Fastest(best, 1.31, 0.4), now)
    assert keep[0] == "keep what you have (packed 2048 onednn is 31% faster, within the noise of 40%):"
    assert written(keep) == {"score": {"batching": "trace", "batch_tokens": 512, "products": "native"}}
    assert advice(Fastest(now, 1.0, 0.0), now)[0] == "keep what you have (nothing is faster):"
    assert "cannot be used here" in advice(Fastest(best, float("inf"), 0.0), now)[0]
    assert written(advice(Fastest(now, 1.0, 0.0), Setting("trace", 64, None))) == {
        "score": {"batching": "trace", "batch_tokens": 64}
    }


def test_the_other_decoder_is_tried_in_both_ways_and_in_larger_batches() -> None:
    best = Setting("trace", 512, "onednn", "model")
    assert [str(s) for s in of_other_decoder(best)] == [
        f"own {way} {n} onednn" for way in ("packed", "trace") for n in (512, 1024, 2048)
    ]
    other = of_other_decoder(Setting("packed", 2048, None, "own"))
    assert [str(s) for s in other] == ["packed 1024", "packed 2048", "trace 1024", "trace 2048"]
    # A line says which decoder in either case, where there is a choice.
    assert written(other[0].lines())["score"]["decoder"] == "model"
    assert written(of_other_decoder(best)[0].lines()) == {
        "score": {"batching": "packed", "batch_tokens": 512, "products": "onednn", "decoder": "own"}
    }


class Timed:
    """In place of a Bench: seconds by the beginning of a setting's name; what it ran is remembered."""

    def __init__(self, seconds: dict[str, float], rounded: "Timed | None" = None, refused: str | None = None):
        self.seconds, self.rounded, self.refused, self.ran = seconds, rounded, refused, list[str]()

    def run(self, setting: Setting) -> float:
        self.ran.append(str(setting))
        return next(t for name, t in self.seconds.items() if str(setting).startswith(name))

    def compile(self, setting: Setting) -> str:
        if self.refused:
            raise ImpossibleError(self.refused)
        return f"compiled for {setting}"

    def in_bfloat16(self) -> "Timed | None":
        return self.rounded


NOW, BEST = Setting("trace", 512, None, "model"), Setting("packed", 2048, None, "model")
BATCHES = Race({NOW: [2.0] * 4, BEST: [1.5] * 4}, {}, judge({NOW: [2.0] * 4, BEST: [1.5] * 4}, NOW), 1, ("before",))


def test_own_is_proposed_only_where_it_is_faster_than_the_best_of_the_model() -> None:
    slower = Timed({"own": 1.6, "packed": 1.5, "trace": 2.0})
    race = race_decoders(slower, BATCHES, NOW, 60.0)
    assert (race.fastest.best, race.fastest.gain, race.n_untried) == (BEST, pytest.approx(2 / 1.5), 1)
    assert race.notes == ("before", "compiled for own packed 1024")
    assert {str(s) for s in race.times} >= {"own packed 1024", "own trace 2048", "trace 512", "packed 2048"}
    faster = Timed({"own packed 1024": 1.0, "own": 1.1, "packed": 1.5, "trace": 2.0})
    race = race_decoders(faster, BATCHES, NOW, 60.0)
    assert str(race.fastest.best) == "own packed 1024"
    assert written(advice(race.fastest, NOW))["score"] == {
        "batching": "packed", "batch_tokens": 1024, "decoder": "own",
    }  # fmt: skip


def test_bfloat16_is_a_row_and_never_a_proposal() -> None:
    rounded = Timed({"own": 0.5, "packed": 9.0})
    bench = Timed({"own": 1.0, "packed": 1.5, "trace": 2.0}, rounded)
    race = race_decoders(bench, BATCHES, NOW, 60.0)
    assert set(rounded.ran) == {"own packed 1024 bfloat16", "packed 1024 bfloat16"}
    assert race.fastest.best.dtype is None and race.fastest.best.decoder == "own"
    assert race.notes[-1].startswith("own packed 1024 bfloat16 is 100% faster than own packed 1024, and rounds")
    assert len(race.notes) == 3
    assert {s.dtype for s in race.times} == {None, "bfloat16"}


def test_a_decoder_that_gives_other_values_is_left_out() -> None:
    race = race_decoders(Timed({}, refused="it differs"), BATCHES, NOW, 60.0)
    assert race.notes == ("before", "score.decoder: own was not measured: it differs")
    assert (race.times, race.fastest) == (BATCHES.times, BATCHES.fastest)


SAMPLE = [SampleTrace("", MESSAGES, response) for response in (RESPONSE, SHORT, "Let x be 4. So it is.")]


def of(student: Path, score: params.Score, **how: int) -> params.Params:
    return params.Params(student=params.Student(path=str(student), **how), score=score)


@pytest.fixture
def two_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few turns that the number of settings, and not the time, ends a measurement on the busiest machine, and no
    batches of which these samples would fill a small part."""

    def small(*of: Any) -> list[Setting]:
        now, *others = candidates(*of)
        return [now, *(s for s in others if s.batch_tokens <= 512)]

    monkeypatch.setattr(turn_timing, "TURNS", 2)
    monkeypatch.setattr(tuning, "candidates", small)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "compiler", lambda: None)


@pytest.fixture
def plain_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that does nothing: what it compiles takes a minute and is tested elsewhere."""
    for module in (tuning, own):
        monkeypatch.setattr(module, "compiler", lambda: "g++ 1.2.3")
    monkeypatch.setattr(LayerPieces, "compiled", classmethod(lambda cls: cls()))


@pytest.mark.usefixtures("two_turns", "plain_pieces")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_decoders_have_rows(student_folder: Callable[..., Path], dtype: str) -> None:
    folder = student_folder("llama")
    lines = propose(of(folder, params.Score(device="cpu", dtype=dtype)), SAMPLE, 600.0)
    rows = [line.split(maxsplit=2)[:2] for line in lines]
    assert ["own", "packed"] in rows and ["own", "trace"] in rows
    assert sum(line.endswith("  as it is") for line in lines) == 1
    [said] = [line for line in lines if "compiling it with g++ 1.2.3 took " in line]
    assert said.startswith("score.decoder: own gives the student's own values; ")
    assert params.parse(written(lines)).score.decoder in ("model", "own")
    assert "decoder" in written(lines)["score"]
    # Weights at random are no bfloat16 numbers.
    assert not any("bfloat16 " in line for line in lines[2:] if line.startswith(("own ", "packed ")))


@pytest.mark.usefixtures("two_turns", "plain_pieces")
def test_the_decoder_that_is_set_may_lose_to_the_model(
    student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Bench.run
    monkeypatch.setattr(Bench, "run", lambda self, s: run(self, s) * 0 + (9.0 if s.decoder == "own" else 1.0))
    lines = propose(of(student_folder("llama"), params.Score(device="cpu", decoder="own")), SAMPLE, 600.0)
    assert [line for line in lines if line.startswith("own ") and line.endswith("as it is")]
    assert written(lines)["score"]["decoder"] == "model"


@pytest.mark.usefixtures("two_turns", "no_compiler")
def test_without_a_compiler_one_sentence_says_so(student_folder: Callable[..., Path]) -> None:
    for family, n_said in (("llama", 1), ("openai-gpt", 0)):
        lines = propose(of(student_folder(family), params.Score(device="cpu", decoder="own")), SAMPLE, 20.0)
        assert len([line for line in lines if "there is no C++ compiler here; install g++" in line]) == n_said
        assert "decoder" not in written(lines)["score"] and not any(line.startswith("own ") for line in lines)


@pytest.mark.usefixtures("plain_pieces")
def test_engines_of_ours_are_held_one_at_a_time(
    student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(of(student_folder("llama"), params.Score(device="cpu")), "cpu")
    bench.requests = bench.plan(SAMPLE)[:1]
    ours = bench._engine(Setting("trace", 512, "native", "own"))
    assert isinstance(ours, OwnEngine)
    assert bench._engine(Setting("packed", 1024, "native", "own")) is ours and ours.batch_tokens == 1024
    assert bench._engine(Setting("packed", 1024, "onednn", "own")) is not ours
    assert [kind for kind in bench._engines if kind[0] == "own"] == [("own", "onednn")]
    assert isinstance(bench._engine(Setting("trace", 512, "native", "model")), Engine)
    assert bench.in_bfloat16() is None
    for parameter in bench.model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    assert are_bfloat16_numbers(bench.model)
    other = bench.in_bfloat16()
    assert other is not None and other.model.dtype == torch.bfloat16 and other.requests == bench.requests
    assert other.run(Setting("packed", 512, None, "own", "bfloat16")) > 0
    # Values that are not the student's own are found while it is made.
    normed = LayerPieces().normed
    monkeypatch.setattr(LayerPieces, "compiled", classmethod(lambda cls: cls(normed=lambda *a: 2 * normed(*a))))
    with pytest.raises(ImpossibleError, match="by the decoder of ours: "):
        bench.compile(Setting("trace", 512, "native", "own"))


@pytest.mark.usefixtures("two_turns", "no_compiler")
def test_tune_measures_and_prints_lines_that_params_accepts(student_folder: Callable[..., Path]) -> None:
    settings = params.Score(device="cpu", passes=("local", "full"))
    lines = propose(of(student_folder("llama"), settings), SAMPLE, 60.0)
    assert " response tokens, float32 on cpu; a large matrix product reaches " in lines[0]
    [mine] = [line for line in lines if line.endswith("  as it is")]
    name, speed, share, turns = (
        str(present(of_student(settings, 1), "cpu")),
        *mine.removesuffix("  as it is").split()[-3:],
    )
    assert mine.startswith(name + " ") and float(speed.replace(",", "")) > 0 and share.endswith("%") and int(turns) > 0
    assert len([line for line in lines if line.startswith("packed ")]) > 1
    chosen = params.parse(written(lines)).score
    assert {chosen.batching, chosen.products} <= {"trace", "packed", "native", "onednn"}
    # All three are said outright, so that the numerics of a run are those that were measured.
    assert describe_numerics(chosen, "cpu")["batch_tokens"] == chosen.batch_tokens


@pytest.mark.usefixtures("two_turns", "no_compiler")
def test_a_student_that_cannot_be_packed_is_tuned_for_traces(student_folder: Callable[..., Path]) -> None:
    lines = propose(of(student_folder("openai-gpt"), params.Score(device="cpu")), SAMPLE, 60.0)
    refused = [line for line in lines if line.startswith("packed ")]
    assert refused and all("not possible: the student" in line for line in refused)
    assert written(lines)["score"]["batching"] == "trace"


def test_a_sample_that_cannot_be_scored(student_folder: Callable[..., Path]) -> None:
    with pytest.raises(ScoringError, match="not one of 3 sampled traces can be scored; 'stepsift check' says why"):
        propose(of(student_folder("llama"), params.Score(), max_context_tokens=8), SAMPLE, 1.0)


def test_what_is_timed_is_what_the_setting_says(
    student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(of(student_folder("llama"), params.Score(device="cpu")), "cpu")
    linears = [m for m in bench.model.modules() if isinstance(m, torch.nn.Linear)]

    def through_onednn() -> set[bool]:
        return {"forward" in vars(m) for m in linears}

    bench.pick(bench.plan(SAMPLE), Setting("trace", 256, "native"), 0.0)
    assert len(bench.requests) == 1
    bench.pick(bench.plan(SAMPLE), Setting("trace", 256, "native"), 1e9)
    assert len(bench.requests) == 3
    for products, expected in (("onednn", True), ("native", False), ("onednn", True)):
        assert bench.run(Setting("trace", 256, products)) > 0
        assert through_onednn() == {expected}
    packed = bench._engine(Setting("packed", 1024, "native"))
    assert (packed.batch_tokens, packed.trace.batch_tokens) == (1024, 1024)
    assert bench._engine(Setting("packed", 2048, "native")) is packed
    assert (packed.batch_tokens, packed.trace.batch_tokens) == (2048, 2048)
    assert bench._engine(Setting("trace", 512, "native")).batch_tokens == 512

    def crowded(self: Engine, request: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Engine, "score", crowded)
    with pytest.raises(ImpossibleError, match="out of memory at batch_tokens 512"):
        bench.run(Setting("trace", 512, "native"))


def test_medians_and_not_means_are_shown(student_folder: Callable[..., Path]) -> None:
    bench = Bench(of(student_folder("llama"), params.Score(device="cpu")), "cpu")
    bench.requests = bench.plan(SAMPLE)
    tokens = sum(len(r.response) for r in bench.requests)
    flops = sum(bench.size.flops(r) for r in bench.requests)
    bench.ceiling = flops / 2.0  # one in two seconds is half of it
    slow, fast = Setting("trace", 512, "native"), Setting("packed", 512, "native")
    times = {slow: [4.0, 100.0, 4.0], fast: [statistics.fmean([1.0, 3.0])] * 2}
    lines = bench.report(slow, times, {Setting("trace", 256, None): "no memory"}, 3)
    assert lines[2].split() == ["packed", "512", "native", f"{tokens / 2:,.0f}", "100%", "2"]
    assert lines[3].split() == ["trace", "512", "native", f"{tokens / 4:,.0f}", "50%", "3", "as", "it", "is"]
    assert lines[4].split(maxsplit=2)[2] == "not possible: no memory"
    assert lines[5] == "3 more settings had no time; give more --seconds to see them"
