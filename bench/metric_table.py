"""All metrics on scored pools: how each agrees with lalp, how it goes with length, and what the window shows.

    python bench/metric_table.py FOLDER .. [--json table.json]
    python bench/metric_table.py TRACES.jsonl .. --student demo/student [--json table.json]

A FOLDER holds the tables prompts, traces and step_scores as the stages write them. A file of traces is scored first, by
stepsift's own library, under --student. For every metric and pool there are three numbers: the share of prompts with
two or more scored traces whose best trace is the one that lalp has, Kendall's tau-b between the teachers' scores and
those by lalp, and Spearman's correlation between the scores of traces and their tokens. Scores of which less is better
are turned round first, so a positive correlation always means that long traces are favoured.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params, scratch, sidecache
from stepsift.commands.score import read_alone
from stepsift.core import table_files, tables
from stepsift.metrics import Metric, all_metrics, fit_all, trace_scores, trace_sums, with_fits
from stepsift.score.window_share import of_teachers
from stepsift.select.candidates import find_candidates
from stepsift.select.ranking import ALL_DOMAINS, rank_teachers
from stepsift.select.selection import PLACE, placed

BASELINE = "lalp"
RESAMPLES = 1_000


@dataclass(frozen=True)
class ScoredPool:
    """Tables prompts (prompt_id, domain), traces (the response may be missing) and step_scores of one pool."""

    name: str
    prompts: pl.DataFrame
    traces: pl.DataFrame
    step_scores: pl.DataFrame

    @staticmethod
    def read(folder: Path) -> "ScoredPool":
        """Raises TableError where a table is missing or damaged."""
        prompts, traces, steps = (
            table_files.read(table, folder / table.file)
            for table in (tables.PROMPTS, tables.TRACES, tables.STEP_SCORES)
        )
        return ScoredPool(folder.name, prompts.select("prompt_id", "domain"), traces.drop("response"), steps)

    def scores(self, seed: int = 0) -> pl.DataFrame:
        """Every score of every trace beside its sums; null where a metric is not defined."""
        scored = trace_scores(trace_sums(self.step_scores), self.traces, seed)
        return with_fits(scored, fit_all(scored, params.Select().casl_fit))

    def teachers(self, candidates: pl.DataFrame, only: Collection[str] | None = None) -> pl.DataFrame:
        """Table teachers over all domains, of all metrics or of those named."""
        domains = self.traces.join(self.prompts, on="prompt_id", how="left").select("teacher", "domain")
        ranked = rank_teachers(candidates, domains, RESAMPLES, params.Select().seed, only)
        return ranked.filter(pl.col("domain") == ALL_DOMAINS)


def score_file(file: Path, student: str, dtype: str) -> ScoredPool:
    """A file of traces under a student, with every metric; raises as `stepsift score` does."""
    raw = {"student": {"path": student}, "score": {"dtype": dtype}, "ingest": {"files": [{"match": "**"}]}}
    settings = params.parse(raw, "bench/metric_table.py")
    with tempfile.TemporaryDirectory(prefix="stepsift-") as folder:
        pool = read_alone(file, Path(folder), settings)
        scored = scratch.score(pool, pool.traces, settings, ["lalp", "galp"], sidecache.root())
    return ScoredPool(file.name.partition(".")[0], pool.prompts, pool.traces, scored.step_scores)


def metric_rows(pool: ScoredPool, window: int | float) -> dict[str, Any]:
    """`prompts`, `traces`, `window_share`, and `metrics`: name to `same_choices`, `tau` and `length`.

    Null where a number is not defined: choices for a metric that selects nothing, tau for one that ranks no teachers,
    and all three where there are no scores.
    """
    scored = pool.scores()
    candidates, _ = find_candidates(pool.prompts, pool.traces, scored, "ignore")
    teachers = pool.teachers(candidates)
    rows = {name: _of_metric(metric, candidates, teachers) for name, metric in all_metrics().items()}
    share, _ = of_teachers([pool.step_scores], pool.traces, window)
    return {
        "prompts": candidates["prompt_id"].n_unique(),
        "traces": candidates.height,
        "teachers": candidates["teacher"].n_unique(),
        "window_share": share.share,
        "metrics": rows,
    }


def _of_metric(metric: Metric, candidates: pl.DataFrame, teachers: pl.DataFrame) -> dict[str, float | None]:
    # Here, because it takes a while to import.
    from scipy.stats import kendalltau

    scores = candidates.select("n_tokens", _turned(metric, pl.col(metric.name)).alias("score")).drop_nulls()
    length = scores.select(pl.corr("score", "n_tokens", method="spearman")).item() if scores.height > 1 else None
    lalp = all_metrics()[BASELINE]
    means = [
        teachers.filter((pl.col("metric") == m.name) & pl.col("rank").is_not_null()).select(
            "teacher", _turned(m, pl.col("mean")).alias("mean")
        )
        for m in (lalp, metric)
    ]
    both = means[0].join(means[1], on="teacher", suffix="_other")
    tau = float(kendalltau(both["mean"], both["mean_other"]).statistic) if both.height > 1 else None
    same = _same_choices(candidates, lalp, metric) if metric.selects else None
    return {"same_choices": same, "tau": _number(tau), "length": _number(length)}


def _same_choices(candidates: pl.DataFrame, one: Metric, other: Metric) -> float | None:
    both = candidates.filter(pl.col(one.name).is_not_null() & pl.col(other.name).is_not_null())
    several = both.filter(pl.len().over("prompt_id") > 1)
    if several.is_empty():
        return None
    best = [placed(several, m).filter(pl.col(PLACE) == 1).select("prompt_id", "trace_id") for m in (one, other)]
    chosen = best[0].join(best[1], on="prompt_id", suffix="_other")
    share: float = chosen.select((pl.col("trace_id") == pl.col("trace_id_other")).mean()).item()
    return share


def _turned(metric: Metric, score: pl.Expr) -> pl.Expr:
    return -score if metric.better == "low" else score


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def markdown(pools: dict[str, dict[str, Any]]) -> str:
    """A row per metric and a column per pool, each cell with the three numbers; `pools` is name to `metric_rows`.

    Metrics without any number are left out (those of a second model, where there is none).
    """
    names = [m for m in all_metrics() if any(v is not None for p in pools.values() for v in p["metrics"][m].values())]
    head = [
        f"{name}: {p['prompts']} prompts, {p['teachers']} teachers, {p['traces']} traces, "
        f"window share {percent(p['window_share'])}"
        for name, p in pools.items()
    ]
    lines = [
        f"| metric | {' | '.join(pools)} |",
        "|---|" + "---|" * len(pools),
        *(f"| `{metric}` | {' | '.join(_cell(p['metrics'][metric]) for p in pools.values())} |" for metric in names),
    ]
    return "\n".join([*(f"- {text}" for text in head), "", *lines])


def _cell(row: dict[str, float | None]) -> str:
    return f"{percent(row['same_choices'])} · {signed(row['tau'])} · {signed(row['length'])}"


def percent(share: float | None) -> str:
    """`62 %`, or a dash for None."""
    return "-" if share is None else f"{share:.0%}".replace("%", " %")


def signed(value: float | None) -> str:
    """`+.62`, or a dash for None."""
    return "-" if value is None else f"{value:+.2f}".replace("0.", ".")


def main() -> int:
    """Scores what is not scored, prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pools", type=Path, nargs="+", metavar="POOL", help="folders of tables, or files of traces")
    parser.add_argument("--student", help="for files of traces: as student.path of params.yaml")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--window", type=float, default=4, help="of the scores in a FOLDER; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    arguments = parser.parse_args()
    pools = {}
    for path in arguments.pools:
        if path.is_file() and arguments.student is None:
            parser.error(f"{path} is a file of traces; name the --student that scores them")
        pool = ScoredPool.read(path) if path.is_dir() else score_file(path, arguments.student, arguments.dtype)
        # A file is scored with the default window.
        pools[pool.name] = metric_rows(pool, arguments.window if path.is_dir() else params.Score().window)
    print(markdown(pools))
    if arguments.json:
        arguments.json.write_text(json.dumps(pools, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
