"""The library: read, score, rank and select in Python, without DVC, MLflow or params.yaml.

What is public stands in `stepsift/__init__.py`: `Scorer`, `read`, `rank` and `select`; everything else may change.
Frames are Polars frames with one row per trace.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from stepsift import params, scratch, segment
from stepsift.core import table_files, tables
from stepsift.core.errors import SelectionError
from stepsift.core.text import count
from stepsift.metrics import Metric, all_metrics, finite, fit_all, trace_scores, trace_sums, with_fits
from stepsift.metrics._sums import COLUMNS
from stepsift.render import Messages
from stepsift.select.candidates import find_candidates
from stepsift.select.ranking import rank_teachers
from stepsift.select.selection import best
from stepsift.student import find, pick_device

_DEFAULTS: dict[str, tuple[pl.DataType, object]] = {
    "domain": (pl.String(), None),
    "verdict": (pl.String(), "unchecked"),
    "source": (pl.String(), "memory"),
    "source_line": (pl.Int64(), 0),
}
"""What a frame that is not from `read` may lack."""
_IDS = ("prompt_id", "trace_id", "teacher")
_ADDED = ("score", "margin", "reason")
"""What `select` sets behind the columns of a frame."""
_SUM = "full_logprob"
"""One of the sums of `Scorer.score`, without which no metric can be fitted."""


class Scorer:
    """A student that scores traces; the model stays loaded for as long as the object lives.

    `path` is a folder with a model and its tokenizer, a `.gguf` file, or a `.hub.yaml` file that pins a model of a hub.
    `window` is k, how many preceding steps a step sees (a fraction below 1: that share of them); `passes` are `local`
    (windows) and `full` (the whole context); `unit` is what a step is. Raises ParamsError for a value that is not
    allowed, StudentError where the student cannot be found or loaded.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        window: float = 4,
        passes: Sequence[Literal["local", "full"]] = ("local", "full"),
        unit: Literal["sentence", "line", "paragraph", "marker"] = "sentence",
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    ):
        from stepsift.score.backends.local import LocalBackend
        from stepsift.score.plan import Planner

        score = {"window": window, "passes": list(passes), "dtype": dtype, "workers": 1}
        raw = {"student": {"path": str(path)}, "segment": {"unit": unit}, "score": score}
        # Selectors of their own would ask for both passes.
        settings = params.parse(raw | {"select": {"selectors": ["random"]}}, "stepsift.Scorer")
        self._segment = settings.segment
        self._backend = LocalBackend(settings.student, settings.score, pick_device(settings.score.device))
        size = self._backend.size
        renderer = find(settings.student).load_renderer()
        self._planner = Planner(renderer, settings.score, size.context, size.vocabulary)

    def score(self, prompt: str | Sequence[Mapping[str, str]], responses: Sequence[str]) -> pl.DataFrame:
        """Score responses to one prompt: a row per response, in their order.

        `prompt` is the user's text, or messages with `role` and `content`. Columns: `refused` (why a response has no
        score, else null), `n_steps`, `n_tokens`, a column per metric that one trace alone decides (float64, in the
        metric's unit, see `stepsift metrics`; null where its pass was not possible), and the sums over tokens that
        they are made of (in nats; `rank` needs them). Nothing is cached. Raises StudentError where the chat template
        cannot be used at all.
        """
        from stepsift.score.backends.processes import in_order
        from stepsift.score.forward.request import Refused
        from stepsift.score.plan import Planned
        from stepsift.score.step_sums import Scored, step_rows
        from stepsift.segment.branch import branches

        messages: Messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [*map(dict, prompt)]
        ends = [segment.step_ends(text, self._segment) for text in responses]
        plans = self._planner.plan_many([(messages, text, e) for text, e in zip(responses, ends, strict=True)])
        places = [i for i, plan in enumerate(plans) if isinstance(plan, Planned)]
        requests = [plan.request() for plan in plans if isinstance(plan, Planned)]
        results = dict(zip(places, in_order(self._backend, requests), strict=True))
        scored, refused = [], []
        for i, plan in enumerate(plans):
            result = results.get(i, plan)
            refused.append(f"{result.reason}: {result.detail}" if isinstance(result, Refused) else None)
            if isinstance(plan, Planned) and not isinstance(result, Planned | Refused):
                opens = branches(responses[i], ends[i])
                scored.append(Scored(str(i), plan.bounds, plan.rendered.inked, result, opens))
        ids = pl.DataFrame({"trace_id": [str(i) for i in range(len(plans))]})
        about = ids.with_columns(prompt_id=pl.lit(""), teacher=pl.lit(""))
        drawn = [name for name, metric in all_metrics().items() if metric.draw is not None]
        scores = trace_scores(trace_sums(step_rows(scored)), about, 0).drop("prompt_id", "teacher", *drawn)
        rows = ids.join(scores, on="trace_id", how="left", maintain_order="left").drop("trace_id")
        return rows.select(pl.Series("refused", refused, dtype=pl.String), pl.all())


def read(folder: str | Path) -> pl.DataFrame:
    """The traces of all source files below a folder, in any layout that stepsift reads; a row per trace.

    Columns: `prompt_id`, `prompt` (list of messages with `role` and `content`), `domain`, `answer` (the gold answer or
    null), and of the trace `trace_id`, `teacher`, `response`, `verdict` (correct, wrong, .. or unchecked),
    `content_hash`, `source` and `source_line`; sorted by prompt_id and trace_id. Rows that cannot be used and
    duplicates are left out. A rule beside a file (`NAME.rule.yaml`) is heeded. Raises SourceError where there is no
    file to read, or one of which no row can be used.
    """
    with tempfile.TemporaryDirectory(prefix="stepsift-") as scratch_folder:
        ingested = scratch.read(Path(folder), Path(scratch_folder) / "tables", params.Ingest())
        prompts = table_files.read(tables.PROMPTS, ingested.tables.prompts)
        traces = table_files.read(tables.TRACES, ingested.tables.traces)
    about = prompts.select("prompt_id", "prompt", "domain", "answer")
    columns = ("trace_id", "teacher", "response", "verdict", "content_hash", "source", "source_line")
    joined = traces.select("prompt_id", *columns).join(about, on="prompt_id", how="left")
    return joined.select(*about.columns, *columns).sort("prompt_id", "trace_id")


def rank(frame: pl.DataFrame, *, bootstrap: int = 2_000, seed: int = 0) -> pl.DataFrame:
    """Rank the teachers of scored traces, by every metric of the frame that ranks teachers.

    `frame` has `prompt_id`, `trace_id`, `teacher` and the columns of `Scorer.score`. Columns of the answer, a row per
    metric and teacher: `metric`, `rank` (1 is best; last comes who is not ranked, with null), `teacher`, `mean` (in the
    metric's unit), `ci_low` and `ci_high` (95 % interval over `bootstrap` resamples of prompts; null where it rests on
    one), `n_prompts`, `p_above_next` (probability of being above the teacher ranked next); see docs/CURATION.md. Raises
    SelectionError where a column is missing or nothing has a score, ParamsError for fewer than 100 resamples.
    """
    settings = params.parse({"select": {"bootstrap": bootstrap, "seed": seed}}, "stepsift.rank").select
    candidates = _candidates(frame, "ignore")
    _check_rankable(frame, candidates)
    about = candidates.select("teacher", "domain")
    teachers = rank_teachers(candidates, about, settings.bootstrap, settings.seed, all_metrics())
    columns = ("metric", "rank", "teacher", "mean", "ci_low", "ci_high", "n_prompts", "p_above_next")
    return teachers.select(columns).sort("metric", "rank", "teacher", nulls_last=True)


def select(
    frame: pl.DataFrame,
    *,
    by: str = "lalp",
    per_prompt: int = 1,
    correct: Literal["require", "prefer", "ignore"] = "prefer",
    seed: int = 0,
) -> pl.DataFrame:
    """The best traces of each prompt by one metric: rows of `frame`, with `score`, `margin` and `reason` behind them.

    `frame` has `prompt_id`, `trace_id`, `teacher` and the columns of `Scorer.score`, and may have `verdict`, by which
    `correct` goes: `require` takes correct traces alone, `prefer` does so where a prompt has one, `ignore` takes all.
    `by` is a metric or `random`, `longest` or `shortest`; `margin` is the lead over the best trace that was not chosen,
    in the metric's unit. Sorted by prompt_id and trace_id. Filters (duplicates, contamination) are the pipeline's
    alone. Raises ParamsError for an argument that is not allowed, SelectionError where no trace has a score, and for a
    frame that lacks a column or has one of these three.
    """
    if by in all_metrics() and all_metrics()[by].of_two_models:
        raise SelectionError(f"{by} compares the student with a second model, as the pipeline alone does; take another")
    one = {"name": "one", "by": by, "per_prompt": per_prompt}
    raw = {"select": {"selectors": [one], "correct": correct, "seed": seed}}
    settings = params.parse(raw, "stepsift.select").select
    selector = settings.selectors[0]
    if taken := [name for name in _ADDED if name in frame.columns]:
        raise SelectionError(f"the frame has a column {taken[0]} already, which select adds; rename it or drop it")
    candidates = _candidates(frame, settings.correct)
    if selector.metric.draw is not None:
        candidates = candidates.with_columns(selector.metric.draw(candidates, settings.seed).alias(by))
    if candidates[by].null_count() == candidates.height:
        raise SelectionError(f"no trace has a score by {by}{_why_none(selector.metric)}")
    best_traces = best(candidates, selector).select("trace_id", pl.col(by).alias("score"), "margin", "reason")
    best_traces = best_traces.cast({"trace_id": frame.schema["trace_id"]})
    return frame.join(best_traces, on="trace_id", how="inner").sort("prompt_id", "trace_id")


def _why_none(metric: Metric) -> str:
    """The end of a sentence that says that no trace has a score by this metric."""
    if metric.fit is not None and metric.ranks_teachers:
        return (
            f": it is fitted to the candidates of each teacher, which needs the {metric.needs} pass and at least four "
            "whose share of first tokens varies by itself; take another metric"
        )
    return f", which needs the {metric.needs} pass; score it" if metric.needs else "; take all columns of Scorer.score"


def _check_rankable(frame: pl.DataFrame, candidates: pl.DataFrame) -> None:
    """Raise SelectionError where no metric has a score, or the sums behind a ratio of means are missing."""
    metrics = [m for m in all_metrics().values() if m.draw is None and m.ranks_teachers]
    metrics = [m for m in metrics if candidates[m.name].null_count() < candidates.height]
    if not metrics:
        raise SelectionError("no trace has a score by a metric that ranks teachers; take all columns of Scorer.score")
    for metric in metrics:
        sums = {name for part in metric.teacher or () for name in part.meta.root_names()}
        if missing := sorted(sums - set(frame.columns)):
            raise SelectionError(
                f"the frame has {metric.name} and no column {missing[0]}, of which a teacher's {metric.name} is made; "
                f"take all columns of Scorer.score, or drop {metric.name}"
            )


def _candidates(frame: pl.DataFrame, correct: Literal["require", "prefer", "ignore"]) -> pl.DataFrame:
    """The scored traces of a frame that are in the running, with every metric; of other columns none."""
    if missing := [name for name in (*_IDS, "n_steps") if name not in frame.columns]:
        raise SelectionError(
            f"the frame has no column {missing[0]}; take the rows of stepsift.read, with those of Scorer.score beside "
            "them"
        )
    if frame.is_empty():
        raise SelectionError("the frame has no rows, so there is nothing to choose from")
    if unnamed := [name for name in _IDS if frame[name].null_count()]:
        raise SelectionError(f"a row of the frame has no {unnamed[0]}; name it, or leave the row out")
    if frame["trace_id"].n_unique() < frame.height:
        raise SelectionError("two rows of the frame have the same trace_id; give each trace one of its own")
    about = [_or_default(frame, name, kind, value) for name, (kind, value) in _DEFAULTS.items()]
    content_hash = "content_hash" if "content_hash" in frame.columns else "trace_id"
    numbers = [_number(frame, name) for name in (*COLUMNS, *all_metrics())]
    full = frame.select(
        pl.col(_IDS).cast(pl.String), *about, pl.col(content_hash).cast(pl.String).alias("content_hash"), *numbers
    )
    scored = full.filter(pl.col("n_steps").is_not_null()).drop(*_DEFAULTS, "content_hash")
    if scored.is_empty():
        raise SelectionError(f"none of the {count(frame.height, 'trace')} has a score; column refused says why")
    prompts = full.select("prompt_id", "domain").unique("prompt_id", maintain_order=True)
    candidates, _ = find_candidates(prompts, full, scored, correct)
    return with_fits(candidates, fit_all(candidates, "teacher")) if _SUM in frame.columns else candidates


def _or_default(frame: pl.DataFrame, name: str, kind: pl.DataType, value: object) -> pl.Expr:
    known = pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, kind)
    return known.fill_null(pl.lit(value, kind)).alias(name)


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A sum or a score, null where it is missing or no finite number (a frame from pandas has NaN for null)."""
    return finite(pl.col(name) if name in frame.columns else pl.lit(None)).alias(name)
