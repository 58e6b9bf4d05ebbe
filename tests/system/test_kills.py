"""Scoring that is killed again and again ends with the bytes of a run that never was."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest

from helpers.places import ROOT
from stepsift.commands.cache import spaces, verify_scores
from stepsift.core import table_files, tables

pytestmark = pytest.mark.system

KILLS = 20
SCRIPT = ROOT / "tests/helpers/scoring_run.py"


def write_pool(folder: Path, n: int) -> None:
    """Traces of different lengths, a step a line."""
    draw = random.Random(0)
    traces, steps = [], []
    for i in range(n):
        lines = [f"Step {draw.randrange(99)}: x = {draw.randrange(999)}.\n" for _ in range(draw.randrange(2, 20))]
        trace_id, at = f"{i:05d}", 0
        row = {"trace_id": trace_id, "content_hash": "", "prompt_id": "p", "teacher": "t", "response": "".join(lines)}
        traces.append(row | {"verdict": "unchecked", "label": None, "source": "s.jsonl", "source_line": i + 1})
        for number, line in enumerate(lines, start=1):
            span = {"step": number, "start": at, "end": at + len(line)}
            steps.append(span | {"trace_id": trace_id, "kind": "line", "capped": False})
            at += len(line)
    table_files.write(tables.TRACES, pl.DataFrame(traces, schema=tables.TRACES.schema), folder / "traces.parquet")
    table_files.write(tables.STEPS, pl.DataFrame(steps, schema=tables.STEPS.schema), folder / "steps.parquet")


def work_for(number: int, cpu_s: float = math.inf) -> float:
    """Return when a process has worked for so long, however busy the machine is, or has ended: how long it worked."""
    process = psutil.Process(number)
    while process.status() != psutil.STATUS_ZOMBIE and sum(process.cpu_times()[:2]) < cpu_s:
        time.sleep(0.01)
    return sum(process.cpu_times()[:2])


class Runs:
    """Runs of scoring, forked from one process that has loaded the student; use as a context manager."""

    def __init__(self, student: Path, pool: Path):
        # One thread: what a library's threads hold is lost in a fork.
        self._parent = subprocess.Popen(
            [sys.executable, SCRIPT, student, pool],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> "Runs":
        return self

    def __exit__(self, *exception: object) -> None:
        self._parent.communicate()

    def _ask(self, *words: object) -> int:
        assert self._parent.stdin is not None and self._parent.stdout is not None
        print(*words, sep="\t", file=self._parent.stdin, flush=True)
        return int(self._parent.stdout.readline())

    def start(self, cache: Path, out: Path) -> int:
        """The process number of a run, which begins to score at once."""
        return self._ask("start", cache, out)

    def wait(self, number: int) -> int:
        """The exit code of a run that has ended or is about to."""
        return self._ask("wait", number)

    def finish(self, cache: Path, out: Path) -> bytes:
        """The table of a run that nobody disturbs."""
        assert self.wait(self.start(cache, out)) == 0
        return (out / "step_scores.parquet").read_bytes()


def test_kills_at_random_moments_change_no_byte(student_folder, tmp_path: Path):
    write_pool(tmp_path, 200)
    draw = random.Random(1)
    cache, kills, kept = tmp_path / "cache", 0, []
    with Runs(student_folder("llama"), tmp_path) as runs:
        undisturbed = runs.start(tmp_path / "never-killed", tmp_path / "expected")
        whole_s = work_for(undisturbed)  # processors differ by more than the part of a run that is worth a kill
        assert runs.wait(undisturbed) == 0
        expected = (tmp_path / "expected" / "step_scores.parquet").read_bytes()
        while kills < KILLS:
            # Two at once on one cache, as two people may have it.
            numbers = [runs.start(cache, tmp_path / f"out-{i}") for i in range(2)]
            codes = []
            for number in numbers:
                work_for(number, draw.uniform(0.05, 1.0) * whole_s)
                os.kill(number, signal.SIGKILL)  # nothing happens where it has ended: nobody has waited for it yet
                codes.append(runs.wait(number))
            kills += codes.count(-signal.SIGKILL)
            kept.append(sum(s.n_keys for s in spaces(cache)))
            assert verify_scores(cache) == []
            assert set(codes) <= {0, -signal.SIGKILL}
            for i, code in enumerate(codes):
                if code == 0:
                    assert (tmp_path / f"out-{i}" / "step_scores.parquet").read_bytes() == expected
            if 0 in codes:  # everything is in the cache: begin anew
                cache = tmp_path / f"cache-{kills}"
        assert runs.finish(cache, tmp_path / "out") == expected
    print(f"{kills} kills in runs of {whole_s:.1f} CPU s; keys kept after each pair of runs: {kept}")
    assert len(set(kept)) > 3  # killed runs did leave work behind, and others went on from it


def test_sigterm_keeps_the_shard_and_says_so(student_folder, tmp_path: Path):
    write_pool(tmp_path, 400)
    command = [sys.executable, SCRIPT, student_folder("llama"), tmp_path, tmp_path / "cache", tmp_path / "out"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None and run.stdout.readline() == "ready\n"
    time.sleep(0.3)
    run.terminate()
    _, said = run.communicate()
    assert run.returncode != 0 and "done and kept in the cache; run it again to go on from there" in said, said
    done = int(said.rpartition("stopped: ")[2].split(" of ")[0])
    assert sum(s.n_keys for s in spaces(tmp_path / "cache")) == pytest.approx(2 * done, abs=2) and done > 0
