"""The tables of several auditions side by side, by hand."""

import importlib.util
from pathlib import Path

import pytest

from helpers.places import DEMO


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("evidence_summary", DEMO / "evidence/summary.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


ARMS = {
    "lalp": {"kind": "selector", "response_tokens": 100, "examples": 10},
    "only a": {"kind": "teacher", "response_tokens": 300, "examples": 10},
    "only b": {"kind": "teacher", "response_tokens": 20, "examples": 10},
}


def result(lalp: float, a: float, b: float, rho: float | None, settled: bool) -> dict:
    accuracy = {arm: {"value": v} for arm, v in zip(ARMS, (lalp, a, b), strict=True)}
    foresight = [{"metric": "lalp", "rho": rho, "rho_interval": [-0.5, 0.5], "regret": 0.25, "pick": "a"}]
    comparisons = [
        {"arm": "lalp", "other": "random", "difference": {"value": 0.1}, "settled": settled},
        {"arm": "lalp", "other": "galp", "difference": {"value": 0.01}, "settled": False},
    ]
    budget = {"accuracy": accuracy, "foresight": foresight, "comparisons": comparisons, "verdict": ["so it is"]}
    return {"plan": "0123456789abcdef", "untrained": 0.03, "budgets": {"9 examples": budget}}


def test_by_hand(module):
    results = [result(0.5, 0.05, 0.99, 0.25, True), result(0.7, 0.1, 0.97, 0.75, False)]
    plan = {"arms": ARMS, "budgets": {"9 examples": {"examples": 9}}}
    lines = module.summary(results, [plan, plan]).splitlines()
    assert lines[0] == "Plans: `0123456789ab`, `0123456789ab`. Untrained: .030, .030."
    assert "## Equal 9 examples" in lines
    assert "Of 2 teachers 1 lie below .10 and 1 above .95." in lines
    at = lines.index("| b | 2 | .980 | .990 | .970 |")
    assert lines[at + 1] == "| a | 30 | .075 | .050 | .100 |"
    assert "| lalp | 10 | .600 | .500 | .700 |" in lines
    assert "| lalp | +0.50 | +0.25 (-0.50 to +0.50) | +0.75 (-0.50 to +0.50) | 25.0, 25.0 | a |" in lines
    assert "| lalp - random | +10.0* | +10.0 |" in lines
    assert "1 of 2 planned comparisons were settled by no base." in lines
    assert lines.count("- so it is") == 2


def test_a_metric_without_a_correlation_in_some_base_is_left_out(module):
    results = [result(0.5, 0.5, 0.6, 0.25, True), result(0.7, 0.5, 0.6, None, False)]
    assert module.foresight(results, "9 examples")[3:] == []


def test_the_script_runs_over_the_three_bases():
    text = (DEMO / "evidence/run.sh").read_text()
    for base in ("demo/evidence/base-0", "demo/evidence/base-1", "demo/evidence/base-2"):
        assert base in text
        assert (Path(DEMO).parent / base / "config.json").is_file()
