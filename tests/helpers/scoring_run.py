"""Runs of scoring in processes of their own, whose shards are closed every tenth of a second: something to kill.

    python scoring_run.py STUDENT POOL CACHE OUT

is one run, which says "ready" when the student is loaded. Without the last two, each line "start CACHE OUT" of its
input starts a run in a fork, which has its student loaded already, and is answered by the fork's number; each line
"wait NUMBER" waits until that run has ended and is answered by its exit code, below 0 if a signal ended it.
"""

import dataclasses
import os
import sys
import traceback
from pathlib import Path

from stepsift import params
from stepsift.score import setup
from stepsift.score.cache.scores import ScoreCache
from stepsift.score.pool import Pool
from stepsift.score.run import score_to_tables

PROMPT = [{"role": "user", "content": "What is 12 + 30, and is it more than 40?"}]


def load(student: str, cache: Path) -> setup.Scoring:
    scoring = setup.load(
        params.Student(path=student), params.Score(products="native", device="cpu", batching="trace"), cache
    )
    _ = scoring.backend.size  # loads the weights
    return scoring


def score(loaded: setup.Scoring, pool: Path, cache: Path, out: Path) -> None:
    own = loaded.identity
    fast = ScoreCache(cache, own.student, own.numerics, shard_seconds=0.1)
    with dataclasses.replace(loaded, cache=fast) as run:
        score_to_tables(run, Pool({"p": PROMPT}, pool / "traces.parquet", pool / "steps.parquet"), out)


def fork(loaded: setup.Scoring, pool: Path, cache: Path, out: Path) -> int:
    """The number of a process that scores and ends."""
    number = os.fork()
    if number:
        return number
    try:
        score(loaded, pool, cache, out)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def serve(student: str, pool: Path) -> None:
    loaded = load(student, pool / "cache of the parent")
    for line in sys.stdin:
        task, *arguments = line.rstrip("\n").split("\t")
        if task == "start":
            cache, out = map(Path, arguments)
            print(fork(loaded, pool, cache, out), flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(int(arguments[0]), 0)[1]), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(sys.argv[1], Path(sys.argv[2]))
    else:
        student, pool, cache, out = sys.argv[1:]
        loaded = load(student, Path(cache))
        print("ready", flush=True)
        score(loaded, Path(pool), Path(cache), Path(out))
