"""Rankings of teachers, all metrics and all splitters on pools of real traces, under one student.

    python bench/real_pools.py TRACES_FOLDER STUDENT --out OUT [--prompts 20] [--minutes 20] [--dtype bfloat16]
    python bench/real_pools.py TRACES_FOLDER STUDENT --out OUT --minutes 0       # the tables alone, of what is there

Pools are the files *.jsonl and *.jsonl.gz of the folder. Of each a seeded sample of prompts is taken, with all traces
of at most --most-chars characters; a prompt counts where two or more teachers are left. Prompts of the pools take turns
and each is scored under every splitter before the next, so the tables are whole whenever it stops. What is scored lies
in OUT as tables, prompt by prompt, and the same command goes on from there; another sample of more prompts holds the
smaller one. It uses one thread. Printed, and written to OUT/tables.md and OUT/tables.json: teachers per pool, the table
of metrics (bench/metric_table.py) and that of splitters (as `stepsift splitters`). OUT/POOL is a folder that
metric_table.py reads.
"""

import argparse
import gzip
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from metric_table import ScoredPool, markdown, metric_rows, percent, signed
from stepsift import params, segment
from stepsift.commands.score import read_alone
from stepsift.commands.splitters import BASELINE, UNITS, ScoredUnit, splitter_rows
from stepsift.core import disk, table_files, tables
from stepsift.core.errors import ScoringError
from stepsift.score.plan import in_seeded_order
from stepsift.score.pool import Pool, Prompts

if TYPE_CHECKING:  # it imports torch
    from stepsift.score.setup import Scoring

RANKED_BY = ("lalp", "galp", "rsr")
COMPARED_BY = ["lalp", "aslec_drop"]
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Sample:
    """A pool's sample: its name, tables prompts and traces, and the ids of its prompts in a seeded order."""

    name: str
    prompts: pl.DataFrame
    traces: pl.DataFrame
    order: list[str]


def read_sample(file: Path, settings: params.Params, n_prompts: int, most_chars: int) -> Sample:
    """Ingest the short traces of a file, and take the first prompts of a seeded order that two teachers answered."""
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    short = [line for line in data.splitlines() if line and len(json.loads(line)["response"]) <= most_chars]
    with tempfile.TemporaryDirectory(prefix="stepsift-") as folder:
        lines = Path(folder) / f"{file.name.partition('.')[0]}.jsonl"
        lines.write_bytes(b"\n".join(short) + b"\n")
        work = read_alone(lines, Path(folder), settings).folder
        prompts, traces = (table_files.read(t, work / t.file) for t in (tables.PROMPTS, tables.TRACES))
    several = traces.group_by("prompt_id").agg(pl.col("teacher").n_unique()).filter(pl.col("teacher") > 1)
    order = in_seeded_order(several["prompt_id"], settings.score.seed)[:n_prompts]
    return Sample(
        lines.stem,
        prompts.filter(pl.col("prompt_id").is_in(order)),
        traces.filter(pl.col("prompt_id").is_in(order)),
        order,
    )


class Scores:
    """What is scored so far, below `out`: a table step_scores per pool, prompt and unit."""

    def __init__(self, out: Path, units: Sequence[str] = UNITS):
        self.out = out
        self.units = units

    def place(self, pool: str, prompt_id: str, unit: str) -> Path:
        """A folder that is there when its scores are."""
        return self.out / pool / "parts" / hashlib.sha256(prompt_id.encode()).hexdigest()[:16] / unit

    def done(self, sample: Sample) -> list[str]:
        """Prompts that are scored under every unit."""
        return [p for p in sample.order if all(self.place(sample.name, p, u).is_dir() for u in self.units)]

    def read(self, sample: Sample, unit: str) -> pl.DataFrame:
        """Table step_scores of the prompts that are done."""
        parts = [
            table_files.read(tables.STEP_SCORES, self.place(sample.name, p, unit) / tables.STEP_SCORES.file)
            for p in self.done(sample)
        ]
        return pl.concat(parts).sort("trace_id", "step")

    def guard(self, settings: dict[str, Any]) -> None:
        """Raise ScoringError where scores of other settings lie here already: they would be mixed."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / SETTINGS
        before = json.loads(path.read_text()) if path.exists() else settings
        if before != settings:
            raise ScoringError(f"{self.out} holds scores of {before}, and these are {settings}; name another --out")
        disk.write_json(settings, path)


def score(samples: list[Sample], settings: params.Params, scores: Scores, minutes: float) -> None:
    """Score prompts, the pools by turns, until all are done or the time is up."""
    stop_s = time.monotonic() + 60 * minutes
    of_pool: dict[str, Sample] = {sample.name: sample for sample in samples}
    turns = zip_longest(*([(s.name, p) for p in s.order] for s in samples))
    missing = [
        (of_pool[turn[0]], turn[1], unit)
        for turn in chain.from_iterable(turns)
        if turn is not None
        for unit in scores.units
        if not scores.place(turn[0], turn[1], unit).is_dir()
    ]
    if not missing or minutes <= 0:
        return
    # Not before it is needed, and not before main says how many threads there are: it imports torch.
    from stepsift.score import setup

    with setup.load(settings.student, settings.score, scores.out / "cache") as scoring:
        for number, (sample, prompt_id, unit) in enumerate(missing):
            if time.monotonic() > stop_s:
                return
            print(f"{number + 1} of {len(missing)}: {sample.name}, {unit}", file=sys.stderr, flush=True)
            by_unit = settings.segment.model_copy(update={"unit": unit})
            with disk.fresh_folder(scores.place(sample.name, prompt_id, unit)) as out:
                _score_prompt(scoring, sample, prompt_id, by_unit, out)


def _score_prompt(scoring: "Scoring", sample: Sample, prompt_id: str, by_unit: params.Segment, out: Path) -> None:
    """Tables step_scores and rejected of one prompt's traces, into `out`."""
    from stepsift.score.progress import Progress
    from stepsift.score.run import score_to_tables

    of_prompt = replace(scoring, progress=Progress(ceiling=scoring.progress.ceiling))
    own = pl.col("prompt_id") == prompt_id
    traces = sample.traces.filter(own)
    with tempfile.TemporaryDirectory(prefix="stepsift-") as name:
        folder = Path(name)
        table_files.write(tables.PROMPTS, sample.prompts.filter(own), folder / tables.PROMPTS.file)
        table_files.write(tables.TRACES, traces, folder / tables.TRACES.file)
        table_files.write(tables.STEPS, segment.segment_table(traces, by_unit), folder / tables.STEPS.file)
        prompts = Prompts(folder / tables.PROMPTS.file, {prompt_id})
        score_to_tables(of_prompt, Pool(prompts, folder / tables.TRACES.file, folder / tables.STEPS.file), out)


def report(samples: list[Sample], settings: params.Params, scores: Scores) -> tuple[str, dict[str, Any]]:
    """The three tables of what is done, in Markdown and as values."""
    metrics: dict[str, Any] = {}
    teachers: dict[str, Any] = {}
    splitters: dict[str, Any] = {}
    for sample in samples:
        done = scores.done(sample)
        if not done:
            continue
        pool = _write_pool(sample, scores, done)
        metrics[sample.name] = metric_rows(pool, settings.score.window)
        teachers[sample.name] = _ranked(pool)
        by_unit = {unit: _scored_unit(sample, scores, unit, pool) for unit in scores.units}
        splitters[sample.name] = splitter_rows(pool.prompts, pool.traces, by_unit, COMPARED_BY, settings)
    parts = ["## Teachers", *_teacher_tables(teachers), "## Metrics", markdown(metrics), "## Splitters"]
    text = "\n\n".join([*parts, "\n".join(_splitter_table(splitters))])
    return text, {"teachers": teachers, "metrics": metrics, "splitters": splitters}


def _write_pool(sample: Sample, scores: Scores, done: list[str]) -> ScoredPool:
    """The tables of what is done, scored by sentences, as metric_table.py reads them."""
    folder = scores.out / sample.name
    kept = pl.col("prompt_id").is_in(done)
    table_files.write(tables.PROMPTS, sample.prompts.filter(kept), folder / tables.PROMPTS.file)
    table_files.write(tables.TRACES, sample.traces.filter(kept), folder / tables.TRACES.file)
    table_files.write(tables.STEP_SCORES, scores.read(sample, BASELINE), folder / tables.STEP_SCORES.file)
    return ScoredPool.read(folder)


def _scored_unit(sample: Sample, scores: Scores, unit: str, pool: ScoredPool) -> ScoredUnit:
    steps = scores.read(sample, unit)
    return ScoredUnit(steps, ScoredPool(pool.name, pool.prompts, pool.traces, steps).scores())


def _ranked(pool: ScoredPool) -> dict[str, list[dict[str, Any]]]:
    """Rows of table teachers by metric, the best first."""
    teachers = pool.teachers(pool.scores().join(pool.prompts, on="prompt_id", how="left"), RANKED_BY)
    columns = ["teacher", "n_traces", "mean", "ci_low", "ci_high", "rank", "rank_low", "rank_high"]
    return {
        m: teachers.filter(pl.col("metric") == m).sort("rank", "teacher", nulls_last=True).select(columns).to_dicts()
        for m in RANKED_BY
    }


def _teacher_tables(teachers: dict[str, Any]) -> Iterator[str]:
    for pool, by_metric in teachers.items():
        place: dict[str, dict[str, Any]] = defaultdict(dict)
        for metric, rows in by_metric.items():
            for row in rows:
                place[row["teacher"]][metric] = row
        lines = [f"| {pool} | traces | lalp (95 %) | {' | '.join(f'rank by {m}' for m in RANKED_BY)} |"]
        lines.append("|---|---|---|" + "---|" * len(RANKED_BY))
        for row in by_metric["lalp"]:
            ranks = (_rank(place[row["teacher"]].get(m)) for m in RANKED_BY)
            lines.append(f"| {row['teacher']} | {row['n_traces']} | {_mean(row)} | {' | '.join(ranks)} |")
        yield "\n".join(lines)


def _mean(row: dict[str, Any]) -> str:
    if row["mean"] is None:
        return "-"
    interval = "" if row["ci_low"] is None else f" ({row['ci_low']:.2f} to {row['ci_high']:.2f})"
    return f"{row['mean']:.2f}{interval}"


def _rank(row: dict[str, Any] | None) -> str:
    if row is None or row["rank"] is None:
        return "-"
    low, high = row["rank_low"], row["rank_high"]
    return f"{row['rank']}" + ("" if low is None or low == high else f" ({low} to {high})")


def _splitter_table(splitters: dict[str, Any]) -> Iterator[str]:
    titles = [f"`{m}`: {what}" for m in COMPARED_BY for what in ("tau", "same choice")]
    head = ["pool", "splitter", "steps per trace", "tokens per step", "window share", "first tokens", *titles]
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for pool, rows in splitters.items():
        for row in rows:
            cells = [f"{row['steps_per_trace']:.1f}", f"{row['tokens_per_step']:.1f}", percent(row["window_share"])]
            cells.append(f"{row['first_tokens']:.1%}".replace("%", " %"))
            for m in COMPARED_BY:
                cells += [signed(row["metrics"][m]["tau"]), percent(row["metrics"][m]["same_choices"])]
            first = f"{pool} ({row['traces']} traces)" if row is rows[0] else ""
            yield f"| {first} | `{row['unit']}` | {' | '.join(cells)} |"


def main() -> int:
    """Scores until the time is up, prints the tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("traces", type=Path, metavar="TRACES_FOLDER", help="JSONL files, gzipped or not")
    parser.add_argument("student", metavar="STUDENT", help="as student.path of params.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder of this student's results")
    parser.add_argument("--prompts", type=int, default=20, help="prompts of each pool; default: %(default)s")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then it stops; default: when all is done")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--most-chars", type=int, default=4_000, help="of a response; default: %(default)s")
    units = "ways to cut traces into steps; default: all; sentences alone take a quarter of the time"
    parser.add_argument("--units", nargs="+", choices=UNITS, default=UNITS, help=units)
    arguments = parser.parse_args()
    if BASELINE not in arguments.units:
        parser.error(f"--units needs {BASELINE}: teachers and metrics are those of its steps")
    raw = {
        "student": {"path": arguments.student},
        "score": {"dtype": arguments.dtype, "workers": 1, "device": "cpu"},
        "ingest": {"files": [{"match": "**"}], "workers": 1},
        "segment": {"workers": 1},
    }
    settings = params.parse(raw, "bench/real_pools.py")
    scores = Scores(arguments.out, arguments.units)
    scores.guard({"student": arguments.student, "dtype": arguments.dtype, "most_chars": arguments.most_chars})
    files = sorted(p for p in arguments.traces.iterdir() if p.name.endswith((".jsonl", ".jsonl.gz")))
    samples = [read_sample(f, settings, arguments.prompts, arguments.most_chars) for f in files]
    score(samples, settings, scores, arguments.minutes)
    text, values = report(samples, settings, scores)
    print(text)
    (arguments.out / "tables.md").write_text(text + "\n", encoding="utf-8")
    (arguments.out / "tables.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    # Before torch is imported: threads move the last digits of scores, and others share the machine.
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.exit(main())
