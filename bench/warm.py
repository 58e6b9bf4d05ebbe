"""Time and peak memory of scoring a pool whose scores are all in the cache, at growing numbers of traces.

    python bench/warm.py [--traces 10000 100000] [--words 40]

Traces are made up, ten for each prompt; the cache is filled by scoring them once with a stand-in for the model that
gives made-up values (`bench/tables.py`). Then the pool is scored again in three ways, each in a process of its own:
`sums`, as every run after the first does, from the step sums that are kept; `sums, by prompt`, as with packed batches,
which first look up what the cache lacks, prompt by prompt; `values`, from values of tokens alone, as without kept sums.
All write the same bytes, or this says so. CPU seconds are those of all threads, "base" is what the imports and the
tokenizer take.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from ingest import peak_mb
from stepsift import params, segment, student
from stepsift.core import disk, table_files, tables
from stepsift.score.cache.scores import OWN, ScoreCache
from stepsift.score.identity import Identity
from stepsift.score.plan import Planner
from stepsift.score.pool import Pool, Prompts
from stepsift.score.progress import Progress
from stepsift.score.run import score_to_tables
from stepsift.score.setup import Scoring
from tables import ROOT, MadeUp

TEACHERS = 10
CHUNK = 2_000
"""Traces that are made at once."""
WAYS = ("fill", "sums", "sums, by prompt", "values")


def make(folder: Path, n_traces: int, n_words: int) -> None:
    """Tables prompts, traces and steps."""
    ids = [f"p{i:07d}" for i in range(-(-n_traces // TEACHERS))]
    prompts: dict[str, Any] = {
        "prompt_id": ids,
        "prompt": [[{"role": "user", "content": f"What is {i} + 1?"}] for i in range(len(ids))],
        "answer_kind": ["none"] * len(ids),
    }
    table_files.write(tables.PROMPTS, _frame(prompts, tables.PROMPTS.schema), folder / tables.PROMPTS.file)
    draw = random.Random(0)
    with (
        table_files.Writer(tables.TRACES, folder / tables.TRACES.file) as traces,
        table_files.Writer(tables.STEPS, folder / tables.STEPS.file) as steps,
    ):
        for start in range(0, n_traces, CHUNK):
            numbers = range(start, min(start + CHUNK, n_traces))
            # Prompts in another order than traces, as hashes are.
            asked = [ids[i * 7_919 % len(ids)] for i in numbers]
            columns: dict[str, Any] = {name: [f"t{i:07d}" for i in numbers] for name in ("trace_id", "content_hash")}
            columns |= {
                "prompt_id": asked,
                "teacher": [f"teacher {i % TEACHERS}" for i in numbers],
                "response": [_response(draw, i, n_words) for i in numbers],
                "verdict": ["unchecked"] * len(numbers),
                "source": ["made up"] * len(numbers),
                "source_line": [i + 1 for i in numbers],
            }
            frame = _frame(columns, tables.TRACES.schema)
            traces.write(frame)
            steps.write(segment.segment_table(frame, params.Segment()))


def _frame(columns: dict[str, Any], schema: Any) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    return pl.DataFrame({name: columns.get(name, [None] * n) for name in schema}, schema=schema)


def _response(draw: random.Random, number: int, n_words: int) -> str:
    words = draw.choices(("so", "we", "add", "12", "to", "both", "sides.", "Wait,", "that", "is", "9."), k=n_words)
    return f"Let x be {number}. {' '.join(words)} The answer is {number + 1}."


def score(folder: Path, way: str) -> dict[str, float]:
    """Score the pool in one way; CPU and wall seconds, and peak memory."""
    settings = params.Params()
    chosen = params.Student(path=str(ROOT / "demo" / "student"))
    renderer = student.load_renderer(student.locate(chosen), chosen)
    base, begin, cpu = peak_mb(), time.perf_counter(), time.process_time()
    ids = [
        i for f in table_files.scan(tables.PROMPTS, folder / tables.PROMPTS.file, ["prompt_id"]) for i in f["prompt_id"]
    ]
    prompts = Prompts(folder / tables.PROMPTS.file, set(ids))
    own = Identity("made up", {"engine": 0})
    cache = ScoreCache(folder / "cache", own.student, own.numerics)
    planner = Planner(renderer, settings.score, MadeUp.size.context, MadeUp.size.vocabulary)
    pool = Pool(prompts, folder / tables.TRACES.file, folder / tables.STEPS.file)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    with Scoring(planner, MadeUp(), cache, own, way.endswith("by prompt"), Progress()) as scoring:
        score_to_tables(scoring, pool, out)
    if way != "fill" and scoring.progress.from_cache != scoring.progress.total:
        raise SystemExit(f"{way}: only {scoring.progress.from_cache} of {scoring.progress.total} came from the cache")
    return {
        "base": base,
        "peak": peak_mb(),
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - begin,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--words", type=int, default=40, help="words of a response")
    parser.add_argument("--ways", nargs="+", choices=WAYS[1:], default=WAYS[1:])
    parser.add_argument("--child", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(score(Path(args.child[1]), args.child[0])))
        return
    print(
        f"{'traces':>9} {'way':16} {'CPU s':>7} {'wall s':>7} {'ms a trace':>10} {'base MB':>8} {'peak MB':>8}  table"
    )
    for n_traces in args.traces:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), n_traces, args.words)
            written = None
            for way in ("fill", *args.ways):
                if way == "values":
                    for kept in Path(folder).rglob(OWN):
                        shutil.rmtree(kept)
                command = [sys.executable, __file__, "--child", way, folder]
                said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
                seen = json.loads(said.stdout.splitlines()[-1])
                sha = disk.file_sha256(Path(folder) / "out" / tables.STEP_SCORES.file)
                written = written or sha
                same = "the same bytes" if sha == written else "OTHER BYTES"
                print(
                    f"{n_traces:9,} {way:16} {seen['cpu']:7.1f} {seen['wall']:7.1f} "
                    f"{1e3 * seen['cpu'] / n_traces:10.2f} {seen['base']:8.0f} {seen['peak']:8.0f}  {same}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
