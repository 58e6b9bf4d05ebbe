"""Scoring that is killed again and again ends with the bytes of a run that never was."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from helpers.places import ROOT
from stepsift.commands.cache import spaces, verify_scores
from stepsift.core import tables

pytestmark = pytest.mark.system

KILLS = 20


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
    tables.write(tables.TRACES, pl.DataFrame(traces, schema=tables.TRACES.schema), folder / "traces.parquet")
    tables.write(tables.STEPS, pl.DataFrame(steps, schema=tables.STEPS.schema), folder / "steps.parquet")


def start(student: Path, cache: Path, folder: Path, out: str) -> subprocess.Popen:
    """A run, which loads its student."""
    script = ROOT / "tests/helpers/scoring_run.py"
    command = [sys.executable, str(script), str(student), str(cache), str(folder), str(folder / out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until_loaded(run: subprocess.Popen) -> None:
    """Return when the student is loaded and scoring begins."""
    assert run.stdout is not None and run.stdout.readline() == "ready\n"


def finish(student: Path, cache: Path, folder: Path, out: str) -> bytes:
    """The table of a run that nobody disturbs."""
    run = start(student, cache, folder, out)
    _, said = run.communicate()
    assert run.returncode == 0, said
    return (folder / out / "step_scores.parquet").read_bytes()


def test_kills_at_random_moments_change_no_byte(student_folder, tmp_path: Path):
    student = student_folder("llama")
    write_pool(tmp_path, 1_500)
    expected = finish(student, tmp_path / "never-killed", tmp_path, "expected")

    draw = random.Random(1)
    cache, kills, kept = tmp_path / "cache", 0, []
    while kills < KILLS:
        # Two at once on one cache, as two people may have it.
        runs = [start(student, cache, tmp_path, f"out-{i}") for i in range(2)]
        for run in runs:
            wait_until_loaded(run)
        for run in runs:
            time.sleep(draw.uniform(0.05, 0.5))
            if run.poll() is None:
                run.kill()
                kills += 1
            run.communicate()
        kept.append(sum(s.n_keys for s in spaces(cache)))
        assert verify_scores(cache) == []
        for i, run in enumerate(runs):
            assert run.returncode in (0, -signal.SIGKILL)
            if run.returncode == 0:
                assert (tmp_path / f"out-{i}" / "step_scores.parquet").read_bytes() == expected
        if any(run.returncode == 0 for run in runs):  # everything is in the cache: begin anew
            cache = tmp_path / f"cache-{kills}"
    assert finish(student, cache, tmp_path, "out") == expected
    print(f"{kills} kills; keys kept after each pair of runs: {kept}")
    assert len(set(kept)) > 3  # killed runs did leave work behind, and others went on from it


def test_sigterm_keeps_the_shard_and_says_so(student_folder, tmp_path: Path):
    student = student_folder("llama")
    write_pool(tmp_path, 400)
    run = start(student, tmp_path / "cache", tmp_path, "out")
    wait_until_loaded(run)
    time.sleep(0.3)
    run.terminate()
    _, said = run.communicate()
    assert run.returncode != 0 and "are done and kept in the cache; run it again to go on from there" in said, said
    done = int(said.rpartition("stopped: ")[2].split(" of ")[0])
    assert sum(s.n_keys for s in spaces(tmp_path / "cache")) == pytest.approx(2 * done, abs=2) and done > 0
