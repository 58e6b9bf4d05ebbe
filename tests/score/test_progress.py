"""How far a run is, in words and numbers."""

import logging
import time

import pytest
import torch

from stepsift.core import pace
from stepsift.score import progress as progress_of_runs
from stepsift.score.backends.local import ModelSize
from stepsift.score.forward.request import Request
from stepsift.score.forward.windows import Pass
from stepsift.score.progress import Progress, Reporter, ceiling


def test_speed_counts_what_was_computed(monkeypatch):
    progress = Progress(
        total=10, ceiling=lambda: 1e9, traces=6, from_cache=4, tokens=900, computed=300, flops=4e9, started=100
    )
    monkeypatch.setattr(time, "monotonic", lambda: 110.0)
    assert progress.speed() == {
        "seconds": 10, "response_tokens_per_s": 30, "traces_from_cache": 4, "share_of_ceiling": 0.4,
    }  # fmt: skip
    assert progress.seconds_left() == 20  # four traces, at five seconds each of the two that were computed
    assert progress.line() == "6 of 10 traces, 4 from the cache, 30 tokens/s (40% of ceiling), 20 s left"


def test_nothing_is_said_of_speed_where_nothing_was_computed():
    progress = Progress(total=10, traces=4, from_cache=4)
    assert progress.seconds_left() is None and progress.line() == "4 of 10 traces, 4 from the cache"
    assert "share_of_ceiling" not in progress.speed()
    assert Progress(total=4_000, traces=1_234, from_cache=1_234).line() == "1,234 of 4,000 traces, 1,234 from the cache"
    assert Progress(total=4, traces=4).seconds_left() == 0


def test_lines_and_numbers_come_now_and_then(monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(pace, "EVERY_S", 10.0)
    heard: list[tuple[dict[str, float], int]] = []
    with caplog.at_level(logging.INFO), Reporter(Progress(total=9, started=0), lambda *a: heard.append(a)) as reporter:
        for second in range(25):
            now[0] = float(second)
            reporter.progress.traces = reporter.progress.from_cache = second // 3
            reporter.tick()
    assert caplog.messages == ["3 of 9 traces, 3 from the cache", "6 of 9 traces, 6 from the cache"]
    assert [traces for _, traces in heard] == [3, 6]
    assert heard[0][0]["seconds"] == 10


def test_operations_are_those_that_the_method_asks_for():
    size = ModelSize(vocabulary=50, context=100, body=1_000, head=300)
    request = Request(list(range(7)), list(range(20)), [Pass(0, 0, 12), Pass(5, 12, 20)], full=True)
    # Positions: the prompt once, windows of 12 and 15 tokens, 20 of the full pass; each token is scored twice.
    assert size.flops(request) == 2 * (1_000 * (7 + 12 + 15 + 20) + 300 * 40)
    assert size.flops(Request([1], [2, 3], [], full=True)) == 2 * (1_000 * 3 + 300 * 2)


def test_a_ceiling_is_measured(monkeypatch: pytest.MonkeyPatch):
    sizes = []
    multiply = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b: sizes.append(len(a)) or multiply(a, b))
    monkeypatch.setattr(progress_of_runs, "_measure_ceiling", progress_of_runs._measure_ceiling.__wrapped__)
    assert 1e8 < ceiling("cpu", "float32") < 1e14
    assert set(sizes) == {256, 1_024}
    # Where a large product would take too long, the small one is what is measured.
    sizes.clear()
    monkeypatch.setattr(progress_of_runs, "_MOST_S", 1e-9)
    assert 1e8 < ceiling("cpu", "float32") < 1e14
    assert set(sizes) == {256}
