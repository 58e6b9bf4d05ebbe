"""An audition's page: every number of a result where it belongs."""

from typing import Any

from stepsift.audition.page import as_markdown
from stepsift.audition.plan import AuditionPlan

ARMS = {
    "lalp": {"kind": "selector", "examples": 4, "response_tokens": 200},
    "random": {"kind": "control", "examples": 4, "response_tokens": 100},
    "only a|b": {"kind": "teacher", "examples": 2, "response_tokens": 90},
}
PLAN = AuditionPlan(
    {
        "arms": ARMS,
        "tasks": ["chain"],
        "seeds": [0, 1],
        "budgets": {"tokens": {"tokens": 1_000}},
        "pilot": None,
        "statistics": {"test": "T", "correction": "C", "alpha": 0.05, "foresight": "F"},
    }
)
DIFFERENCE = {"arm": "lalp", "other": "random", "difference": {"value": 0.1, "low": -0.02, "high": 0.22}}
OPEN = DIFFERENCE | {"p": 0.031, "p_adjusted": 0.2, "settled": False, "more_seeds": 1, "more_questions": 500}
ALONE = DIFFERENCE | {"p": None, "p_adjusted": None, "settled": True, "more_seeds": None, "more_questions": None}
FORESEEN = {"metric": "lalp", "pick": "a|b", "n_teachers": 3, "regret": 0.015, "regret_interval": [0.0, 0.04]}
FORESEEN |= {"rho": 0.5, "rho_interval": [-0.1, 0.9], "share_above_first": None}
UNKNOWN = FORESEEN | {"metric": "galp", "rho": None, "rho_interval": None, "share_above_first": 0.75}


def result(**budget: Any) -> dict[str, Any]:
    accuracy = {
        arm: {"value": v, "low": v - 0.1, "high": v + 0.1} for arm, v in zip(ARMS, (0.4, 0.3, 0.2), strict=True)
    }
    of_budget = {
        "verdict": ["lalp is best."],
        "accuracy": accuracy,
        "seeds": {arm: [0.25, 0.5] for arm in ARMS},
        "presented_tokens": dict.fromkeys(ARMS, 300),
        "comparisons": [OPEN, ALONE],
        "foresight": [FORESEEN, UNKNOWN],
    }
    return {"untrained": 0.031, "runs": 6, "runs_known_before": 2, "budgets": {"tokens": of_budget | budget}}


def test_what_was_planned_and_run() -> None:
    head = as_markdown(PLAN, result()).splitlines()
    assert head[2] == (
        f"Plan `{PLAN.digest}`, written when 2 of its 6 runs were known. 3 arms, 2 seeds (0, 1), 1 budget: 6 runs, "
        "evaluated on `chain`; arms that chose the same traces share their students."
    )
    fresh = as_markdown(PLAN, result() | {"runs_known_before": 0})
    assert fresh.startswith(f"# Audition\n\nPlan `{PLAN.digest}`, written before its first run. 3 arms")
    assert head[4] == "Untrained, the student has 3.1 %."
    assert head[6] == "## Equal tokens: 1,000 presented to every student"
    assert head[8] == "- lalp is best."
    assert not [line for line in head if "A pilot" in line]
    pilot = AuditionPlan(PLAN.content | {"pilot": 0.1})
    assert "**A pilot** on 10 % of the prompts, with one seed:" in as_markdown(pilot, result())


def test_arms_are_listed_by_kind_with_tokens_per_trace_and_passes() -> None:
    lines = as_markdown(PLAN, result()).splitlines()
    rows = [line for line in lines if line.count("|") == 8 and "0.250 0.500" in line]
    assert rows == [
        "| <code>only a&#124;b</code> | 0.200 | 0.100 to 0.300 | 0.250 0.500 | 2 | 45 | 3.3 |",
        "| `lalp` | 0.400 | 0.300 to 0.500 | 0.250 0.500 | 4 | 50 | 1.5 |",
        "| `random` | 0.300 | 0.200 to 0.400 | 0.250 0.500 | 4 | 25 | 3 |",
    ]


def test_differences_in_points_and_what_would_settle_them() -> None:
    rows = [line for line in as_markdown(PLAN, result()).splitlines() if line.startswith("| lalp - random")]
    assert rows == [
        "| lalp - random | +10.0 | -2.0 to +22.0 | 0.031 | 0.2 | no: 1 seed or 500 questions |",
        "| lalp - random | +10.0 | -2.0 to +22.0 |  |  | yes |",
    ]


def test_what_metrics_foresaw_with_what_is_not_defined_left_empty() -> None:
    lines = as_markdown(PLAN, result()).splitlines()
    assert "| metric | rho | interval | above lalp | first pick | regret | interval |" in lines
    assert lines[-2:] == [
        "| lalp | +0.50 | -0.10 to +0.90 |  | <code>a&#124;b</code> | 1.5 | 0.0 to 4.0 |",
        "| galp |  |  | 0.75 | <code>a&#124;b</code> | 1.5 | 0.0 to 4.0 |",
    ]
    assert "| galp |  |  | 0.75 | <code>a&#124;b</code> | 1.5 |  |" in as_markdown(
        PLAN, result(foresight=[FORESEEN, UNKNOWN | {"regret_interval": None}])
    )
    assert "first pick" not in as_markdown(PLAN, result(foresight=[]))
