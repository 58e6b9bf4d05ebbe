"""Sentences of the page that depend on numbers: what it cannot say, what is not shown, which way is better."""

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest

from helpers.report_outputs import World, write
from stepsift import report
from stepsift.report import context, figures, flow
from stepsift.report.outputs import Outputs


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return report.read(write(tmp_path, World()), 0)


def test_what_a_run_cannot_say(outputs: Outputs):
    # 2.8 standard errors of 0.1 are 28 points.
    assert [line.partition(":")[0] for line in context._limits(outputs)] == [
        "A score says how natural a trace is to this student, not whether it is right or good to learn from.",
        "Each student was trained with one seed",
        "On quiz, 8 questions",
        "A step sees 100% of the response before it, so that lalp is close to step_mean, which has no window",
        "Two metrics that choose the same traces cannot be compared by training on them.",
    ]
    assert "less than about 28 points" in context._limits(outputs)[2]
    unknown = dataclasses.replace(outputs, evaluations=outputs.evaluations.with_columns(stderr=None))
    assert not any(line.startswith("On quiz") for line in context._limits(unknown))


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (0.1, "less than about 28 points may differ"),
        (0.004, "less than about 1 point may differ"),
        (0.0001, "less than about 1 point may differ"),
        (0.0, "each student answered all of them right or all of them wrong"),
    ],
)
def test_what_chance_can_do_on_a_task(outputs: Outputs, stderr: float, said: str):
    alike = dataclasses.replace(outputs, evaluations=outputs.evaluations.with_columns(stderr=pl.lit(stderr)))
    [line] = [line for line in context._limits(alike) if line.startswith("On quiz, 8 questions: ")]
    assert said in line


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({"correct": 6, "wrong": 1, "unchecked": 2, "timeout": 1}, ["3 of 10 traces (30%) have no verdict"]),
        ({"unchecked": 1}, ["1 of 1 trace (100%) has no verdict"]),
        ({"correct": 3, "unchecked": 1}, ["1 of 4 traces (25%) has no verdict"]),
        ({"correct": 4}, []),
        ({}, []),
    ],
)
def test_answers_without_a_verdict_are_counted(outputs: Outputs, verdicts: dict[str, int], said: list[str]):
    lines = context._limits(dataclasses.replace(outputs, verdicts=verdicts))
    assert [line.partition(" on it")[0].partition(" on their")[0] for line in lines if "verdict" in line] == said


def test_one_set_is_not_spoken_of_as_several(outputs: Outputs, monkeypatch: pytest.MonkeyPatch):
    # Pictures and what draws charts take a second each and are no part of it.
    monkeypatch.setattr("stepsift.report.page.png", lambda figure: b"")
    monkeypatch.setattr("stepsift.report.page._library", lambda: "")

    def lead(n: int) -> str:
        some = dict(list(outputs.manifests.items())[:n])
        return report.render("page", {}, dataclasses.replace(outputs, manifests=some)).html.partition("<nav")[0]

    assert "</code>; one curated set.</p>" in lead(1)
    assert "</code>; one curated set for each of 2 selectors.</p>" in lead(2)


def test_a_teacher_with_few_prompts_is_named(outputs: Outputs):
    def named(worth: float) -> bool:
        teachers = outputs.teachers.with_columns(
            worth_next=pl.when(pl.col("teacher") == "ann").then(worth).otherwise(pl.col("worth_next"))
        )
        lines = context._limits(dataclasses.replace(outputs, teachers=teachers))
        return any("comparison of ann with the next in rank" in line for line in lines)

    assert [named(w) for w in (19.9, 20.0, 39.0)] == [True, False, False]


def test_the_axis_says_which_way_is_better(outputs: Outputs):
    ranking = figures.all_figures(outputs)["ranking"].charts
    assert "mean lalp (higher is better)" in json.dumps(ranking)
    assert "lower is better" not in json.dumps(ranking)


@pytest.mark.parametrize(("most", "said"), [(1, True), (2, False)])
def test_curves_that_are_not_shown_are_counted(outputs: Outputs, monkeypatch, most: int, said: bool):
    monkeypatch.setattr(figures, "_MOST_STUDENTS", most)
    curves = [{"student": name, "update": 1, "loss": 1.0} for name in ("lalp/seed-0", "draw/seed-0")]
    note = figures._curves(dataclasses.replace(outputs, curves=curves)).note
    assert note.endswith("1 of 2 students are shown.") is said


def test_the_smaller_files_share_a_box(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flow, "_MOST_FILES", 3)
    sources = {f"{n}.jsonl": {"kept": n, "rows": n + 1} for n in (1, 5, 3, 4)}
    assert [(item.lines, item.n) for item in flow._files(sources)] == [
        (("5.jsonl", "5 traces"), 5),
        (("4.jsonl", "4 traces"), 4),
        (("2 more files", "4 traces"), 4),
    ]
    del sources["5.jsonl"]
    assert [item.n for item in flow._files(sources)] == [4, 3, 1]
