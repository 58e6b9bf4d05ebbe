"""Students in other processes: who gets which requests, and that no worker is left behind or lost by Ctrl-C."""

import itertools
import logging
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift import params
from stepsift.core import processes
from stepsift.score.backends.processes import SHARD_REQUESTS, ProcessBackend, hand_out
from stepsift.score.forward.request import Refused, Request, Scores


def of_prompts(prompts: list[int]) -> list[Request]:
    return [Request([p], [1], [], full=True) for p in prompts]


def test_shards_by_hand():
    requests = of_prompts([1, 1, 1, 2, 2, 3, 3, 3, 3, 4])
    assert hand_out([], "trace", 2) == hand_out([], "packed", 2) == []
    # Ten requests in four shards or more; in packed batches none ends within a prompt.
    assert hand_out(requests, "trace", 2) == [range(0, 3), range(3, 6), range(6, 9), range(9, 10)]
    assert hand_out(requests, "packed", 2) == [range(0, 3), range(3, 9), range(9, 10)]
    # Few requests: each worker gets some. Many: never more at once than is said.
    assert len(hand_out(of_prompts([*range(16)]), "packed", 8)) == 16
    assert hand_out(of_prompts([*range(999)]), "packed", 2)[0] == range(SHARD_REQUESTS["packed"])
    assert hand_out(of_prompts([1] * 999), "trace", 2)[0] == range(SHARD_REQUESTS["trace"])


@given(st.lists(st.integers(0, 3), max_size=60).map(sorted), st.sampled_from(["trace", "packed"]), st.integers(1, 9))
def test_everything_is_handed_out_once(prompts: list[int], batching: str, workers: int):
    cut = hand_out(of_prompts(prompts), batching, workers)
    assert [i for shard in cut for i in shard] == [*range(len(prompts))]
    assert all(len(shard) > 0 for shard in cut)
    if batching == "packed":
        assert all(prompts[a[-1]] != prompts[b[0]] for a, b in itertools.pairwise(cut))


@pytest.mark.parametrize("deadly", [set(), {5}, {0, 11}, {4, 6, 7}])
def test_each_request_is_done_once_whichever_take_their_worker_down(
    deadly: set[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A stand-in for a pool, in which a shard with one of the `deadly` requests breaks it."""
    done = Scores(None, None)

    def submit(_: object, function: Any, *shards: list[Request]) -> Future:
        future: Future = Future()
        if any(r.prompt[0] in deadly for shard in shards for r in shard):
            future.set_exception(BrokenProcessPool())
        else:
            future.set_result([done for shard in shards for _ in shard])
        return future

    monkeypatch.setattr(processes, "start", lambda *_: SimpleNamespace(shutdown=lambda **_: None))
    monkeypatch.setattr(processes, "submit", submit)
    caplog.set_level(logging.ERROR)
    backend = ProcessBackend(params.Student(), params.Score(), "cpu", 2, "trace")
    results = [pair for some in backend.score(of_prompts([*range(12)])) for pair in some]
    assert sorted(place for place, _ in results) == [*range(12)]
    assert {place for place, result in results if isinstance(result, Refused)} == deadly


@pytest.mark.system
def test_the_end_waits_for_nobody(student_folder):
    student = params.Student(path=str(student_folder("llama")))
    backend = ProcessBackend(student, params.Score(device="cpu"), "cpu", 1, "trace")
    busy = processes.submit(backend._pool, time.sleep, 60)
    while not busy.running():
        time.sleep(0.01)
    backend.close()
    assert isinstance(busy.exception(), BrokenProcessPool)


CTRL_C = """
import logging, os, signal, sys, threading, time
import psutil
from stepsift import params
from stepsift.core import processes
from stepsift.score.forward.request import Request
from stepsift.score.backends.processes import ProcessBackend

def press():
    while not done:
        if any("spawn_main" in " ".join(p.cmdline()) for p in psutil.Process().children()):
            os.killpg(0, signal.SIGINT)
        time.sleep(0.05)

if __name__ == "__main__":
    logging.basicConfig(level="WARNING")
    done, asked = [], []
    signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    threading.Thread(target=press).start()
    backend = ProcessBackend(params.Student(path=sys.argv[1]), params.Score(device="cpu"), "cpu", 2, "trace")
    results = [pair for some in backend.score([Request([5, 6], [7, 8, 9], [], full=True)] * 40) for pair in some]
    done.append(1)
    backend.close()
    print(len(results), len(asked) > 5)
"""


@pytest.mark.system
def test_ctrl_c_is_the_parents_alone_from_the_first_moment(student_folder, tmp_path: Path):
    script = tmp_path / "parent.py"
    script.write_text(CTRL_C)
    command = [sys.executable, str(script), str(student_folder("llama"))]
    run = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False, timeout=120)
    assert run.returncode == 0 and run.stdout == "40 True\n", run.stderr
    assert "KeyboardInterrupt" not in run.stderr and "died" not in run.stderr
