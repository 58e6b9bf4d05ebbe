"""Time and peak memory of select over a made-up pool: trace scores, filters, ranking, choices with stability, tables.

    python bench/curate.py [--traces 1000000] [--steps 40] [--selectors lalp galp random]

Traces are by ten teachers on as many prompts as that takes, in four domains; step scores are random numbers. Filters
that read the responses are off: their speed is a matter of the text (docs/log/LOG.md has it for real traces). The pool
is made in one process and selected from in another, whose peak memory is told; what its imports alone take is "base".
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from ingest import peak_mb
from stepsift import params
from stepsift.core import table_files, tables

TEACHERS = 10
CHUNK = 2_000
"""Traces that are made at once."""
SWITCHED_OFF = {"unfinished_thinking": False, "loops": False, "near_duplicates": None, "decontaminate": None}


def make(folder: Path, n_traces: int, n_steps: int) -> None:
    """Tables prompts, traces and step_scores."""
    n_prompts = -(-n_traces // TEACHERS)
    table_files.write(
        tables.PROMPTS,
        pl.DataFrame(
            {
                "prompt_id": [f"p{i:08d}" for i in range(n_prompts)],
                "prompt": [[{"role": "user", "content": f"question {i}"}] for i in range(n_prompts)],
                "domain": [f"domain {i % 4}" for i in range(n_prompts)],
                "answer": None,
                "answer_kind": "none",
                "tests": None,
            },
            schema=tables.PROMPTS.schema,
        ),
        folder / "prompts.parquet",
    )
    rng = np.random.default_rng(0)
    with (
        table_files.Writer(tables.TRACES, folder / "traces.parquet") as traces,
        table_files.Writer(tables.STEP_SCORES, folder / "step_scores.parquet") as steps,
    ):
        for start in range(0, n_traces, CHUNK):
            numbers = range(start, min(start + CHUNK, n_traces))
            ids = [f"t{i:08d}" for i in numbers]
            traces.write(
                pl.DataFrame(
                    {
                        "trace_id": ids,
                        "content_hash": ids,
                        "prompt_id": [f"p{i // TEACHERS:08d}" for i in numbers],
                        "teacher": [f"teacher {i % TEACHERS}" for i in numbers],
                        "response": [f"response {i}" for i in numbers],
                        "verdict": "correct",
                        "label": None,
                        "licence": "MIT",
                        "source": "pool.jsonl",
                        "source_line": [i + 1 for i in numbers],
                    },
                    schema=tables.TRACES.schema,
                )
            )
            steps.write(_steps(ids, n_steps, rng))


def _steps(ids: list[str], n_steps: int, rng: np.random.Generator) -> pl.DataFrame:
    n = len(ids) * n_steps
    tokens = rng.integers(5, 40, n, dtype=np.int32)
    columns: dict[str, object] = {
        "trace_id": pl.Series(ids).gather(np.repeat(np.arange(len(ids)), n_steps)),
        "step": np.tile(np.arange(1, n_steps + 1, dtype=np.int32), len(ids)),
        "n_tokens": tokens,
        "n_first": np.full(n, 2, dtype=np.int32),
    }
    for scope in tables.PASSES:
        a_token = rng.gamma(2, 0.5, (3, n))
        columns[f"{scope}_logprob"] = -a_token[0] * tokens
        columns[f"{scope}_rank"] = (1 + a_token[1]) * tokens
        columns[f"{scope}_entropy"] = a_token[2] * tokens
        columns[f"{scope}_brier"] = rng.random(n) * tokens
        columns[f"{scope}_first_logprob"] = -3 * a_token[1]
        columns[f"{scope}_first_two_logprob"] = -4 * a_token[1]
    return pl.DataFrame(columns, schema=tables.STEP_SCORES.schema)


def run(folder: Path, selectors: list[str]) -> dict[str, float]:
    """Select and write the tables; seconds and peak memory."""
    from stepsift.select import Inputs, pool, questions, write_selection
    from stepsift.select import select as select_traces

    settings = params.Select.model_validate({"selectors": selectors, "filters": SWITCHED_OFF})
    base, begin = peak_mb(), time.perf_counter()
    traces = pool.read(folder / "prompts.parquet", folder / "traces.parquet", folder / "step_scores.parquet")
    asked = questions.load_questions((), folder)
    selection = select_traces(traces, settings, asked)
    selected = time.perf_counter()
    inputs = Inputs({}, {}, {"path": "none", "student": "none", "numerics": {}})
    write_selection(selection, traces, settings, asked, inputs, folder / "out")
    return {"base": base, "peak": peak_mb(), "select": selected - begin, "write": time.perf_counter() - selected}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=40, help="steps per trace")
    parser.add_argument("--selectors", nargs="+", default=["lalp", "galp", "random"])
    parser.add_argument("--child", metavar="FOLDER", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(run(Path(args.child), args.selectors)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), args.traces, args.steps)
        command = [sys.executable, __file__, "--child", folder, "--selectors", *args.selectors]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(said.stdout.splitlines()[-1])
    print(f"{args.traces:,} traces, {args.traces * args.steps:,} steps, selectors {', '.join(args.selectors)}")
    print(f"select {found['select']:.1f} s, write {found['write']:.1f} s")
    print(f"base {found['base']:.0f} MB, peak {found['peak']:.0f} MB")


if __name__ == "__main__":
    main()
