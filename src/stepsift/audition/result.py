"""From runs to a result: numbers for JSON, by budget, with the plan's hash."""

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from stepsift.audition.compare import compare_arms, estimates
from stepsift.audition.grades import Grades, from_answers
from stepsift.audition.plan import AuditionPlan
from stepsift.audition.runs import AuditionRun, RunResult
from stepsift.audition.teachers import foresights, shares_best
from stepsift.audition.verdict import Evidence, conclude
from stepsift.select.ranking import TeacherScores

DIGITS = 6
"""Decimals of every number: what lies below depends on the linear algebra library."""


def answers_of_budget(results: list[tuple[AuditionRun, RunResult]], budget: str) -> pl.DataFrame:
    """Columns arm, seed, task, question and correct of one budget."""
    parts = [
        f.answers.select(pl.lit(arm).alias("arm"), pl.lit(run.seed).alias("seed"), "task", "question", "correct")
        for run, f in results
        if run.budget.name == budget
        for arm in run.arms
    ]
    return pl.concat(parts).sort("arm", "seed", "task", "question")


def summarise(
    plan: AuditionPlan,
    results: list[tuple[AuditionRun, RunResult]],
    scores: list[TeacherScores],
    untrained: pl.DataFrame,
    known_before: int,
) -> dict[str, Any]:
    """The result, ready for JSON; `known_before`: how many runs were finished when the plan was written.

    Keys: `plan` (hash), `runs`, `runs_known_before`, `untrained` (accuracy), and for each budget `accuracy` (arm to
    value, low, high, stderr), `seeds` (arm to accuracy by seed), `comparisons`, `foresight`, `best_teacher` (share of
    resamples), `presented_tokens` (arm to response tokens in the loss) and `verdict`.
    """
    budgets = {}
    for name in plan.content["budgets"]:
        grades = from_answers(answers_of_budget(results, name))
        own = [(run, f) for run, f in results if run.budget.name == name]
        budgets[name] = _of_budget(plan, grades, scores) | {
            "presented_tokens": {arm: f.presented_tokens for run, f in own for arm in run.arms}
        }
    nothing = from_answers(untrained.with_columns(arm=pl.lit("untrained"), seed=pl.lit(0)))
    accuracy = float((nothing.correct["untrained"] @ nothing.weights).mean())
    return {
        "plan": plan.digest,
        "runs": sum(len(run.arms) for run, _ in results),
        "runs_known_before": known_before,
        "untrained": round(accuracy, DIGITS),
        "budgets": budgets,
    }


def _of_budget(plan: AuditionPlan, grades: Grades, scores: list[TeacherScores]) -> dict[str, Any]:
    statistics = plan.content["statistics"]
    kinds = {arm: about["kind"] for arm, about in plan.content["arms"].items()}
    accuracy = estimates(grades, plan.alpha)
    compared = compare_arms(grades, plan.pairs, plan.alpha)
    teachers = {a.removeprefix("only "): c for a, c in grades.correct.items() if kinds[a] == "teacher"}
    foreseen, best = [], {}
    if len(teachers) > 1:
        of_teachers = Grades(teachers, grades.task)
        foreseen = foresights(of_teachers, scores, statistics["resamples"], statistics["seed"], plan.alpha)
        best = shares_best(of_teachers, statistics["resamples"], statistics["seed"])
    shares = {f"only {teacher}": share for teacher, share in best.items()}
    return {
        "accuracy": {arm: _rounded(asdict(e)) for arm, e in accuracy.items()},
        "seeds": {arm: _rounded((c @ grades.weights).tolist()) for arm, c in grades.correct.items()},
        "comparisons": [_rounded(asdict(c)) for c in compared],
        "foresight": [_rounded(asdict(f)) for f in foreseen],
        "best_teacher": _rounded(best),
        "verdict": conclude(Evidence(accuracy, kinds, compared, foreseen, shares, grades.n_seeds)),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return float(np.round(value, DIGITS)) if isinstance(value, float) else value
