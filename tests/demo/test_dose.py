"""The dose: how much of a response says again what stands elsewhere, where that is, and tables of its auditions."""

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dose_teachers import (
    COPIES,
    DOSE_TEACHERS,
    DOSES,
    FAR,
    OPERATIONS,
    SAYINGS,
    dosed,
    sentences_of,
    spread,
    take,
    work_of,
)
from helpers.places import DEMO
from teachers import respond, symbolic
from world import distinct_problems

PROBLEMS = [
    problem
    for problem in distinct_problems("dose test", 30, lengths=OPERATIONS)
    if len(set(work_of(problem))) == len(problem.operations)  # no line twice by itself
][:12]


def test_lines_are_taken_by_hand():
    # Work of 2 lines of 4 characters and their newlines: 10; at a half 10 more, at a third 5.
    def taken(dose: float) -> list[str]:
        return take(itertools.cycle(["abcd", "xy"]), dose, ["1234", "5678"])

    assert taken(0.0) == []
    assert taken(1 / 3) == ["abcd"]
    assert taken(0.5) == ["abcd", "xy"]
    assert taken(0.6) == ["abcd", "xy", "abcd", "xy"]  # 16 are nearer to 15 than 13


def test_lines_are_spread_by_hand():
    assert spread(["1", "2"], ["a", "b", "c", "d"]) == ["a", "b", "1", "c", "d", "2"]
    assert spread(["1", "2", "3"], ["a"]) == ["1", "a", "2", "3"]
    assert spread(["1", "2"], []) == ["1", "2"]


@given(st.lists(st.text("xyz", max_size=9), min_size=1), st.lists(st.text("ab", max_size=9)))
def test_spreading_loses_nothing_and_keeps_both_orders(work, others):
    mixed = spread([f"1{line}" for line in work], [f"2{line}" for line in others])
    assert [line[1:] for line in mixed if line[0] == "1"] == work
    assert [line[1:] for line in mixed if line[0] == "2"] == others


def parts(kind: str, problem, dose: float) -> tuple[list[str], list[str], list[str]]:
    """Lines of a response without the answer, those of them that the work has, and all others."""
    *lines, last = dosed(kind, problem, dose).text.split("\n")
    assert last == f"#### {problem.answer}"
    work = work_of(problem)
    rest = list(lines)
    for line in work:
        rest.remove(line)
    return lines, work, rest


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("problem", PROBLEMS[:4], ids=range(4))
def test_copies_make_up_the_dose_to_half_a_line(kind, problem):
    pieces = {"echoing": list(SAYINGS), "restating": sentences_of(problem)}.get(kind, work_of(problem))
    for dose in DOSES:
        lines, _, added = parts(kind, problem, dose)
        said_again = added[len(SAYINGS) :] if kind == "echoing" else added
        total, copied = (sum(len(line) + 1 for line in of) for of in (lines, said_again))
        assert abs(copied - dose * total) <= max(len(piece) + 1 for piece in pieces) / 2
    lines, work, added = parts(kind, problem, 0.0)
    assert lines == work and added == []


@pytest.mark.parametrize("kind", FAR)
@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_what_is_far_was_last_said_beyond_a_window_of_two(kind, problem):
    lines, _, _ = parts(kind, problem, max(DOSES))
    last: dict[str, int] = {}
    distances = []
    for i, line in enumerate(lines):
        distances += [i - last[line]] if line in last else []
        last[line] = i
    assert len(distances) > 2 and min(distances) > 2


@pytest.mark.parametrize("problem", PROBLEMS, ids=range(len(PROBLEMS)))
def test_what_is_near_stands_in_the_prompt_or_on_the_line_before(problem):
    _, _, added = parts("restating", problem, max(DOSES))
    assert len(added) > 4 and all(line in problem.prompt for line in added)
    lines, work, _ = parts("stuttering", problem, max(DOSES))
    assert [line for line, _ in itertools.groupby(lines)] == work
    counts = [len(list(same)) for _, same in itertools.groupby(lines)]
    assert max(counts) - min(counts) <= 1 and min(counts) > 2


def test_a_teacher_for_the_work_and_for_each_kind_and_dose():
    assert list(DOSE_TEACHERS)[:3] == ["work", "echoing 0.2", "echoing 0.4"] and len(DOSE_TEACHERS) == 1 + 4 * 4
    responses = {name: respond(name, PROBLEMS[0], DOSE_TEACHERS) for name in DOSE_TEACHERS}
    assert responses["work"].content == symbolic(PROBLEMS[0], Random(0)).content
    assert responses["stuttering 0.6"] == dosed("stuttering", PROBLEMS[0], 0.6)


def load(name: str):
    """A script of demo/dose as a module."""
    spec = importlib.util.spec_from_file_location(f"dose_{name}", DEMO / f"dose/{name}.py")
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def summary():
    return load("summary")


@pytest.mark.parametrize("world", ["dial", "stories", "english"])
def test_pairs_differ_by_their_copies_alone(world):
    (case,) = load("choices").WORLDS[world](1)
    traces = dict(case.traces())
    assert list(traces)[:2] == ["work", "echoing 0.2"] and len(traces) == len(set(traces.values())) == 1 + 4 * 4
    assert len(case.sayings) == len(set(case.sayings)) == 9
    assert all(sentence in case.prompt for piece in case.restated for sentence in piece.removesuffix(" .").split(". "))
    work = traces["work"].splitlines()
    for text in traces.values():
        lines = iter(text.splitlines())
        assert all(line in lines for line in work)  # in this order, with others between them
        assert text.endswith(f"#### {case.answer}")
    for name, text in case.traces(together=2):
        *lines, last = traces[name].splitlines()
        assert text.splitlines() == [" ".join(lines[i : i + 2]) for i in range(0, len(lines), 2)] + [last]


def test_preferences_by_hand():
    choices = load("choices")
    frame = pl.DataFrame(
        {
            "prompt_id": ["0", "0", "0", "1", "1", "1"],
            "trace_id": list("abcdef"),
            "teacher": ["work", "echoing 0.2", "echoing 0.4"] * 2,
            "n_steps": [3] * 6,
            "lalp": [-1.0, -2.0, -0.5, -1.0, -2.0, -2.0],
            "lalp at 4": [-2.0, -1.0, -1.0, -2.0, -1.0, -1.0],
        }
    )
    counts = [
        choices.preferred(frame, f"echoing {dose}", column) for column in ("lalp", "lalp at 4") for dose in (0.2, 0.4)
    ]
    assert counts == [0, 0.5, 1, 1]


def write_audition(folder: Path, arms: dict[str, tuple[str, float]]) -> None:
    folder.mkdir(parents=True)
    plan = {a: {"kind": kind, "examples": 10, "response_tokens": 55} for a, (kind, _) in arms.items()}
    accuracy = {a: {"value": value, "low": value - 0.1, "high": value + 0.1} for a, (_, value) in arms.items()}
    (folder / "plan.json").write_text(json.dumps({"arms": plan}))
    comparisons = [
        {"arm": "lalp", "other": a, "difference": {"value": arms["lalp"][1] - value}, "settled": value < 0.5}
        for a, (_, value) in arms.items()
        if a != "lalp"
    ]
    of_budget = {"accuracy": accuracy, "comparisons": comparisons}
    (folder / "result.json").write_text(json.dumps({"budgets": {"examples": of_budget}}))


def test_tables_by_hand(summary, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["summary.py", str(tmp_path)])
    assert summary.main() == 1 and "run demo/dose/run.sh first" in capsys.readouterr().err
    both = {"lalp": ("selector", 0.9), "random": ("control", 0.25)}
    alone = {"only work": ("teacher", 0.5), "only echoing 0.4": ("teacher", 0.375)}
    write_audition(tmp_path / "base-0/auditions/window-1/aa", both)
    write_audition(tmp_path / "base-0/auditions/teachers/ee", both | alone)
    write_audition(tmp_path / "base-0/auditions/window-4/bb", both | {"lalp": ("selector", 0.8)})
    write_audition(
        tmp_path / "base-0/auditions/tokens/ff",
        {"lalp": ("selector", 0.125), "entropy": ("selector", 0.5), "random": ("control", 0.25)},
    )
    write_audition(tmp_path / "base-1/auditions/window-1/cc", both | {"lalp": ("selector", 0.5)})
    (tmp_path / "base-2/auditions/window-1/dd").mkdir(parents=True)  # not finished
    rows = [{"copies": "echoing", "dose": 0.4, "metric": "galp", "share": 0.25}]
    (tmp_path / "choices-base-0.json").write_text(json.dumps(rows))
    picture = tmp_path / "dose.png"
    monkeypatch.setattr(sys, "argv", ["summary.py", str(tmp_path), "--picture", str(picture)])
    assert summary.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "| accuracy (tokens a trace) | base-0 | base-1 |",
        "|---|---|---|",
        "| lalp at 4 | 0.800 (6) |  |",
        "| lalp at 1 | 0.900 (6) | 0.500 (6) |",
        "| only work | 0.500 (6) |  |",
        "| only echoing 0.4 | 0.375 (6) |  |",
        "| random | 0.250 (6) | 0.250 (6) |",
        "",
        "| lalp at 1, equal examples | base-0 | base-1 |",
        "|---|---|---|",
        "| - random | +65.0* | +25.0* |",
        "",
        "| accuracy, equal tokens (tokens a trace) | base-0 |",
        "|---|---|",
        "| entropy | 0.500 (6) |",
        "| random | 0.250 (6) |",
        "| lalp at 1 | 0.125 (6) |",
        "",
        "| lalp at 1, equal tokens | base-0 |",
        "|---|---|",
        "| - entropy | -37.5 |",
        "| - random | -12.5* |",
    ]
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
