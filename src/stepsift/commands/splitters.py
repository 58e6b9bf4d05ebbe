"""The command `splitters`: what a splitter changes, on the same traces, against sentences."""

import argparse
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import polars as pl

from stepsift import params, scratch, sidecache, student
from stepsift.commands import arguments
from stepsift.commands.ranking_lines import line
from stepsift.commands.score import check_file, read_alone, settings_of_file
from stepsift.core.console import Voice
from stepsift.core.errors import ParamsError
from stepsift.core.text import count
from stepsift.ingest.files.find import KINDS
from stepsift.metrics import Metric, all_metrics
from stepsift.score.plan import sample_prompts
from stepsift.score.window_share import of_teachers
from stepsift.select.candidates import find_candidates
from stepsift.select.ranking import rank_teachers
from stepsift.select.selection import PLACE, placed

BASELINE = "sentence"
UNITS = tuple(u for u in get_args(params.Segment.model_fields["unit"].annotation) if u not in ("llm", "offsets"))
"""Units that need nothing else; `llm` joins them where params.yaml names a model."""
PARAMS = Path("params.yaml")
_RESAMPLES = 100
"""Of the bootstrap, whose intervals are not shown."""
_COLUMNS = ("steps", "steps/trace", "tokens/step", "window share", "first tokens")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stepsift splitters`."""
    parser.add_argument("file", type=Path, metavar="FILE", help=f"traces in any layout that stepsift reads ({KINDS})")
    parser.add_argument("--student", required=True, metavar="PATH", help="as student.path of params.yaml")
    rules = "a rule file that says how it is read (default: FILE.rule.yaml, where there is one)"
    parser.add_argument("--rules", type=Path, metavar="RULES", help=rules)
    units = (
        f"values of segment.unit with commas between (default: {','.join(UNITS)}, and llm where params.yaml has "
        "segment.llm)"
    )
    parser.add_argument("--units", metavar="UNITS", help=units)
    parser.add_argument("--metrics", default="lalp", help="names with commas between (default: %(default)s)")
    window = f"steps before it that a step sees (default: {params.Score.model_fields['window'].default})"
    parser.add_argument("--window", type=float, metavar="K", help=window)
    parser.add_argument("--dtype", choices=get_args(params.Score.model_fields["dtype"].annotation), help="precision")
    parser.add_argument(
        "--prompts", type=arguments.count, metavar="N", help="only a seeded sample of N prompts (default: all)"
    )


def run(args: argparse.Namespace, voice: Voice) -> None:
    """Print a table with a row per splitter."""
    llm = params.load(PARAMS).segment.llm if PARAMS.exists() else None
    units = _units(args.units, has_llm=llm is not None)
    metrics = arguments.metric_names(args.metrics, ranking=True)
    given = {
        "student": {"path": args.student},
        "segment": {"llm": None if llm is None else llm.model_dump()},
        "score": {"window": args.window, "dtype": args.dtype, "prompts": args.prompts},
    }
    settings = settings_of_file(args.file, args.rules, given, "stepsift splitters")
    rows = compare_splitters(args.file, settings, units, metrics, sidecache.root())
    voice.lines(_lines(rows, metrics))
    voice.data(rows)


def compare_splitters(
    file: Path, settings: params.Params, units: list[str], metrics: list[str], cache: Path
) -> list[dict[str, Any]]:
    """A row per unit, in the order of `units`, all over the traces that every unit gives scores for.

    Keys: `unit`, `traces`, `steps`, `steps_per_trace`, `tokens_per_step`, `window_share` (see `score.window_share`),
    `first_tokens` (share of tokens that are among the first two of their step, as `aslec_drop` counts them), and
    `metrics`: metric to `tau` (Kendall's tau-b of the teachers' scores with those of the first unit, over teachers that
    both rank; null for fewer than two) and `same_choices` (share of prompts with two candidates or more whose best
    trace is the same; null for none). Raises as `score_file` does.
    """
    check_file(file)
    student.locate(settings.student)
    scored: dict[str, scratch.ScoredTraces] = {}
    with tempfile.TemporaryDirectory(prefix="stepsift-") as folder:
        pool = read_alone(file, Path(folder), settings)
        prompts = sample_prompts(pool.prompts["prompt_id"], settings.score.prompts, settings.score.seed)
        sample = pool.traces.filter(pl.col("prompt_id").is_in(list(prompts)))
        for unit in units:
            by_unit = settings.model_copy(update={"segment": settings.segment.model_copy(update={"unit": unit})})
            scored[unit] = scratch.score(pool, sample, by_unit, metrics, cache)
    return splitter_rows(
        pool.prompts, sample, {unit: ScoredUnit.of(s) for unit, s in scored.items()}, metrics, settings
    )


@dataclass(frozen=True)
class ScoredUnit:
    """Tables step_scores and trace_scores of the same traces, with sums and every score, under one splitter."""

    step_scores: pl.DataFrame
    trace_scores: pl.DataFrame

    @staticmethod
    def of(scored: scratch.ScoredTraces) -> "ScoredUnit":
        """What a scratch run gave."""
        return ScoredUnit(scored.step_scores, scored.trace_scores)


def splitter_rows(
    prompts: pl.DataFrame,
    traces: pl.DataFrame,
    scored: dict[str, ScoredUnit],
    metrics: list[str],
    settings: params.Params,
) -> list[dict[str, Any]]:
    """The rows of `compare_splitters`, from scores by unit; `prompts` has prompt_id and domain, `traces` are rows of
    table traces (the response may be missing)."""
    shared = set.intersection(*(set(s.trace_scores["trace_id"]) for s in scored.values()))
    traces = traces.filter(pl.col("trace_id").is_in(list(shared)))
    domains = traces.join(prompts.select("prompt_id", "domain"), on="prompt_id", how="left").select("teacher", "domain")
    rows, first = [], None
    for unit, of_unit in scored.items():
        steps = of_unit.step_scores.join(traces.select("trace_id"), on="trace_id", how="semi")
        candidates, _ = find_candidates(prompts, traces, _only(of_unit.trace_scores, traces), "ignore")
        teachers = rank_teachers(candidates, domains, _RESAMPLES, settings.select.seed, metrics)
        of_first = first or (candidates, teachers)
        first = of_first
        agreement = {m: _agreement(all_metrics()[m], of_first, (candidates, teachers)) for m in metrics}
        overall, _ = of_teachers([steps], traces, settings.score.window)
        rows.append(_counts(unit, steps, overall.share) | {"metrics": agreement})
    return rows


def _units(text: str | None, has_llm: bool) -> list[str]:
    """The units that are named, sentences first: they are what the others are compared with."""
    known = (*UNITS, "llm") if has_llm else UNITS
    names = [*known] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name == "llm" and not has_llm:
            raise ParamsError([f"--units is '{text}': llm needs a model; name it in {PARAMS}, as segment.llm"])
        if name not in known:
            raise ParamsError([f"--units is '{text}': '{name}' is no unit of steps; known are {', '.join(known)}"])
    return list(dict.fromkeys([BASELINE, *names]))


def _only(scores: pl.DataFrame, sample: pl.DataFrame) -> pl.DataFrame:
    return scores.join(sample.select("trace_id"), on="trace_id", how="semi")


def _counts(unit: str, steps: pl.DataFrame, window_share: float | None) -> dict[str, Any]:
    traces, tokens = steps["trace_id"].n_unique(), int(steps["n_tokens"].sum())
    return {
        "unit": unit,
        "traces": traces,
        "steps": steps.height,
        "steps_per_trace": steps.height / traces,
        "tokens_per_step": tokens / steps.height,
        "window_share": window_share,
        "first_tokens": int(steps["n_first"].sum()) / tokens,
    }


Ranked = tuple[pl.DataFrame, pl.DataFrame]
"""Candidates with scores, and table teachers over all domains."""


def _agreement(metric: Metric, first: Ranked, other: Ranked) -> dict[str, float | None]:
    """Kendall's tau-b of the teachers, and the share of prompts with the same best trace."""
    # Here, because it takes a while to import.
    from scipy.stats import kendalltau

    means = [
        t.filter((pl.col("metric") == metric.name) & pl.col("rank").is_not_null()).select("teacher", "mean")
        for t in (first[1], other[1])
    ]
    both = means[0].join(means[1], on="teacher", suffix="_other")
    # Of teachers that all have the same score, the order is undefined and SciPy says NaN.
    tau = float(kendalltau(both["mean"], both["mean_other"]).statistic) if both.height > 1 else math.nan
    several = pl.len().over("prompt_id") > 1
    best = [
        placed(c, metric).filter(several).filter(pl.col(PLACE) == 1).select("prompt_id", "trace_id")
        for c in (first[0], other[0])
    ]
    chosen = best[0].join(best[1], on="prompt_id", suffix="_other")
    same = chosen.select((pl.col("trace_id") == pl.col("trace_id_other")).mean()).item()
    return {"tau": None if math.isnan(tau) else tau, "same_choices": same}


def _lines(rows: list[dict[str, Any]], metrics: list[str]) -> list[str]:
    """A header, a line per splitter, and what they rest on."""
    titles = [*_COLUMNS, *(f"{m}: {what}" for m in metrics for what in ("tau", "same"))]
    widths = [max(len(title), 8) for title in titles]
    lines = [line("splitter", "  ".join(title.rjust(w) for title, w in zip(titles, widths, strict=True)))]
    for row in rows:
        cells = [f"{row['steps']:,}", f"{row['steps_per_trace']:.1f}", f"{row['tokens_per_step']:.1f}"]
        cells += [_percent(row["window_share"]), _percent(row["first_tokens"])]
        for metric in metrics:
            tau = row["metrics"][metric]["tau"]
            cells += ["-" if tau is None else f"{tau:+.2f}", _percent(row["metrics"][metric]["same_choices"])]
        lines.append(line(row["unit"], "  ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))))
    against = f"Kendall's tau of the teachers and the share of equal choices are against {rows[0]['unit']}"
    return [*lines, line("over", f"{count(rows[0]['traces'], 'trace')}; {against}")]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
