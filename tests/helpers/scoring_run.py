"""A run of scoring in a process of its own, whose shards are closed every tenth of a second: something to kill.

    python scoring_run.py STUDENT CACHE POOL OUT

Says "ready" when the student is loaded.
"""

import dataclasses
import sys
from pathlib import Path

from stepsift import params
from stepsift.score import setup
from stepsift.score.cache.scores import ScoreCache
from stepsift.score.pool import Pool
from stepsift.score.run import score_to_tables

PROMPT = [{"role": "user", "content": "What is 12 + 30, and is it more than 40?"}]


def main(student: str, cache: str, pool: Path, out: Path) -> None:
    settings = params.Score(device="cpu", batching="trace")
    loaded = setup.load(params.Student(path=student), settings, Path(cache))
    print("ready", flush=True)
    own = loaded.identity
    fast = ScoreCache(Path(cache), own.student, own.numerics, shard_seconds=0.1)
    with dataclasses.replace(loaded, cache=fast) as wanted:
        score_to_tables(wanted, Pool({"p": PROMPT}, pool / "traces.parquet", pool / "steps.parquet"), out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
