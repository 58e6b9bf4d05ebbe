"""All of the select stage, from tables to tables."""

import logging
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from stepsift import params, tables
from stepsift.curate.candidates import CORRECT, find_candidates, without_score
from stepsift.curate.export import write_train_jsonl
from stepsift.curate.ranking import rank_teachers
from stepsift.curate.selection import choose
from stepsift.errors import TableError
from stepsift.metrics import all_metrics, trace_scores

log = logging.getLogger(__name__)

FEW_PROMPTS = 30
"""A ranking over fewer common prompts than this is said to be one."""


@dataclass(frozen=True)
class Selection:
    """What select made of a pool, and the two input tables from which exports take their text."""

    trace_scores: pl.DataFrame
    """Table trace_scores: every scored trace, candidate or not."""
    teachers: pl.DataFrame
    """Table teachers."""
    curated: dict[str, pl.DataFrame]
    """Selector to its table curated."""
    rejected: pl.DataFrame
    """Table rejected: see `find_candidates` and `without_score` for the reasons."""
    metrics: dict[str, Any]
    """Counts and shares, ready for JSON; see `select`."""
    prompts: pl.DataFrame
    traces: pl.DataFrame


def select(
    prompts: pl.DataFrame, traces: pl.DataFrame, step_scores: pl.DataFrame, settings: params.Select
) -> Selection:
    """Score the traces, rank the teachers, and take the best trace of each prompt for each selector.

    The frames are the tables of their names, in any order of rows. Keys of `metrics`:
    `n_traces`, `n_scored`, `n_candidates`; `n_empty_steps` (steps without tokens, which means over steps leave out);
    `rejected` (reason to teacher to rows); `selectors` (see `_describe`); `agreement` (selector to selector to the
    share of prompts, among those where both chose, for which they chose the same trace; null where there is none).

    Raises SelectionError where a filter leaves nothing or a selector has no score, TableError where the tables do not
    belong together.
    """
    strangers = traces.select("prompt_id").join(prompts, on="prompt_id", how="anti")
    if strangers.height:
        raise TableError(
            f"traces name {strangers['prompt_id'].n_unique()} prompts that the table prompts does not hold, such as "
            f"{strangers['prompt_id'].sort()[0]}; run 'dvc repro' to rebuild both"
        )
    scores = trace_scores(step_scores, traces, settings.seed)
    candidates, dropped = find_candidates(prompts, traces, scores, settings.correct)
    rejected = pl.concat([dropped, *(without_score(candidates, s) for s in settings.selectors)])
    curated = {s: choose(candidates, all_metrics()[s]) for s in settings.selectors}
    n_prompts = scores["prompt_id"].n_unique()
    metrics = {
        "n_traces": traces.height,
        "n_scored": scores.height,
        "n_candidates": candidates.height,
        "n_empty_steps": step_scores.filter(pl.col("n_tokens") == 0).height,
        "rejected": _counts(rejected),
        "selectors": {s: _describe(chosen, candidates, n_prompts) for s, chosen in curated.items()},
        "agreement": _agreement(curated),
    }
    teachers = rank_teachers(candidates, settings.bootstrap, settings.seed)
    common = teachers.filter((pl.col("domain") == "all") & pl.col("rank").is_not_null())["n_common"].min()
    if not isinstance(common, int) or common < FEW_PROMPTS:
        log.warning(
            "the ranking of teachers over all domains rests on %s prompts with a candidate of every ranked teacher; "
            "select.correct: ignore, or fewer teachers, leave more",
            common if isinstance(common, int) else "no",
        )
    return Selection(scores, teachers, curated, rejected.sort(tables.REJECTED.key), metrics, prompts, traces)


def write(selection: Selection, out: Path) -> None:
    """Write the tables trace_scores, teachers and rejected into `out`, and curated and train.jsonl below it.

    `out/<selector>/` holds `curated.parquet` and `train.jsonl`. Folders of selectors that are no longer asked for are
    not removed: DVC empties an output before its stage runs. Metrics are left to the stage.
    """
    tables.write(tables.TRACE_SCORES, selection.trace_scores, out / "trace_scores.parquet")
    tables.write(tables.TEACHERS, selection.teachers, out / "teachers.parquet")
    tables.write(tables.REJECTED, selection.rejected, out / "rejected.parquet")
    for selector, curated in selection.curated.items():
        tables.write(tables.CURATED, curated, out / selector / "curated.parquet")
        write_train_jsonl(curated, selection.prompts, selection.traces, out / selector / "train.jsonl")


def _counts(rejected: pl.DataFrame) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for reason, teacher, n in rejected.group_by("reason", "teacher").len().sort("reason", "teacher").rows():
        counts.setdefault(reason, {})[teacher] = n
    return counts


def _describe(curated: pl.DataFrame, candidates: pl.DataFrame, n_prompts: int) -> dict[str, Any]:
    """One selector in numbers.

    `n_prompts` with a scored trace, of which `n_chosen` got a choice and `n_without_candidate` did not; share of
    choices with verdict correct; mean length in student tokens; mean margin over prompts with a runner-up (null where
    there is none), in the metric's unit; teacher to number of choices.
    """
    chosen = curated.join(candidates.select("trace_id", "n_tokens", "verdict"), on="trace_id", how="left")
    return {
        "n_prompts": n_prompts,
        "n_chosen": chosen.height,
        "n_without_candidate": n_prompts - chosen.height,
        "share_correct": chosen.select(CORRECT.mean()).item(),
        "mean_tokens": chosen["n_tokens"].mean(),
        "mean_margin": chosen["margin"].mean(),
        "teachers": dict(chosen["teacher"].value_counts().sort("teacher").rows()),
    }


def _agreement(curated: dict[str, pl.DataFrame]) -> dict[str, dict[str, float | None]]:
    agreement: dict[str, dict[str, float | None]] = {}
    for one, other in combinations(curated, 2):
        both = curated[one].join(curated[other].select("prompt_id", other="trace_id"), on="prompt_id")
        agreement.setdefault(one, {})[other] = both.select((pl.col("trace_id") == pl.col("other")).mean()).item()
    return agreement
