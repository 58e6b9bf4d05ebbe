"""Peak memory of the stages that read and write big tables, at 1x and 10x the rows: ingest, segment, score planning.

    python bench/tables.py [--rows 5000] [--chars 2000]

Planning is everything that scoring does around the forward passes: both tables are read, traces are encoded with the
demo student's tokenizer, planned, looked up in the cache, kept there and written; a stand-in for the model gives
made-up values. Each run is a process of its own, because peak memory never goes down within one; "base" is what the
imports alone take. Rows are those of bench/ingest.py, without answers to verify.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ingest import peak_mb, write
from stepsift import params, segment, student
from stepsift.core import table_files, tables
from stepsift.ingest.run import ingest
from stepsift.score.backends.local import Done, ModelSize
from stepsift.score.cache.scores import ScoreCache
from stepsift.score.forward.request import DTYPES, Request, Scores, TokenValues
from stepsift.score.identity import Identity
from stepsift.score.plan import Planner
from stepsift.score.pool import Pool, Prompts
from stepsift.score.progress import Progress
from stepsift.score.run import score_to_tables
from stepsift.score.setup import Scoring

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("ingest", "segment", "plan")


class MadeUp:
    """A backend that multiplies nothing."""

    size = ModelSize(vocabulary=100_000, context=100_000, body=0, head=0)
    device = "nothing"

    def score(self, requests: list[Request]) -> Iterator[Done]:
        for i, request in enumerate(requests):
            values = TokenValues(*(np.full(len(request.response), -1, dtype=d) for d in DTYPES.values()))
            yield [(i, Scores(values if request.local else None, values if request.full else None))]

    def close(self) -> None:
        pass


def run(stage: str, folder: Path) -> None:
    settings = params.Params.model_validate({"ingest": {"answer_kind": "none"}})
    if stage == "ingest":
        ingest(folder / "sources", folder / "ingest", settings.ingest)
    elif stage == "segment":
        with table_files.Writer(tables.STEPS, folder / "segment" / "steps.parquet") as writer:
            for traces in table_files.scan(tables.TRACES, folder / "ingest" / "traces.parquet"):
                writer.write(segment.segment_table(traces, settings.segment))
    else:
        chosen = params.Student(path=str(ROOT / "demo" / "student"))
        renderer = student.load_renderer(student.locate(chosen), chosen)
        ids = table_files.read(tables.PROMPTS, folder / "ingest" / "prompts.parquet")["prompt_id"]
        prompts = Prompts(folder / "ingest" / "prompts.parquet", set(ids))
        own = Identity("made up", {"engine": 0})
        cache = ScoreCache(folder / "cache", own.student, own.numerics)
        planner = Planner(renderer, settings.score, MadeUp.size.context, MadeUp.size.vocabulary)
        pool = Pool(prompts, folder / "ingest" / "traces.parquet", folder / "segment" / "steps.parquet")
        with Scoring(planner, MadeUp(), cache, own, False, Progress()) as scoring:
            score_to_tables(scoring, pool, folder / "score")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--chars", type=int, default=2_000)
    parser.add_argument("--child", nargs=2, metavar=("STAGE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        base = peak_mb()
        run(args.child[0], Path(args.child[1]))
        print(json.dumps({"base": base, "peak": peak_mb()}))
        return
    print(f"{'stage':8} {'rows':>8} {'base MB':>8} {'peak MB':>8}")
    for count in (args.rows, 10 * args.rows):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "sources").mkdir()
            write(Path(folder, "sources", "pool.jsonl"), count, args.chars)
            for stage in STAGES:
                command = [sys.executable, __file__, "--child", stage, folder]
                said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
                found = json.loads(said.stdout.splitlines()[-1])
                print(f"{stage:8} {count:8d} {found['base']:8.0f} {found['peak']:8.0f}", flush=True)


if __name__ == "__main__":
    main()
