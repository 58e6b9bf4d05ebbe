"""pass@k by hand and by counting all sets of k answers; its standard error is over questions."""

import itertools
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import ParamsError
from stepsift.evaluate import Evaluated, run
from stepsift.evaluate.pass_rates import ks_of, pass_at, with_pass_at
from stepsift.evaluate.run import Model, evaluations_of, key_settings


@pytest.mark.parametrize(
    ("n", "right", "k", "value"),
    [
        (4, 1, 2, 0.5),  # 3 of 6 pairs hold the right one
        (5, 2, 3, 0.9),  # one of ten triples is without either
        (10, 3, 1, 0.3),
        (8, 0, 4, 0.0),
        (8, 5, 4, 1.0),  # three wrong ones cannot be four
        (1, 1, 1, 1.0),
    ],
)
def test_by_hand(n, right, k, value):
    assert pass_at(n, right, k) == pytest.approx(value)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_it_is_the_share_of_sets_of_k_that_hold_a_right_answer(numbers):
    n, right, k = numbers
    sets = list(itertools.combinations([True] * right + [False] * (n - right), k))
    assert pass_at(n, right, k) == pytest.approx(sum(map(any, sets)) / len(sets))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_it_starts_at_the_share_that_is_right_and_never_falls(numbers):
    n, right = numbers
    values = [pass_at(n, right, k) for k in range(1, n + 1)]
    assert values[0] == pytest.approx(right / n)
    assert values == sorted(values)
    assert values[-1] == (right > 0)


def answers(task: str, model: str, *questions: list[float]) -> list[dict]:
    blank = {"prompt_hash": "", "generation": "", "ended": True, "verdict": None}
    return [
        {"task": task, "question": q, "sample": s, "model": model, "correct": c} | blank
        for q, own in enumerate(questions)
        for s, c in enumerate(own, start=1)
    ]


MODELS = [Model("untrained", None, None, None), *(Model(f"lalp/seed-{s}", "lalp", s, None) for s in (0, 1))]  # type: ignore[arg-type]


def evaluated(*ks: int) -> Evaluated:
    rows = [
        *answers("chain", "untrained", [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]),
        *answers("chain", "lalp/seed-0", [1, 1, 1, 1], [0, 0, 0.5, 1], [0, 0, 0, 0]),
        *answers("chain", "lalp/seed-1", [1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 0, 0]),
        *answers("choice", "untrained", [1.0], [0.0]),
    ]
    table = pl.DataFrame(rows, schema=tables.ANSWERS.schema).sort(tables.ANSWERS.key)
    evaluations = table_files.validate(tables.EVALUATIONS, with_pass_at(evaluations_of(table, MODELS), table, ks))
    return Evaluated(evaluations, table, 0, 0)


def test_the_error_is_over_questions_and_where_answers_are_too_few_there_is_none():
    made = evaluated(1, 2)
    assert ks_of(made.evaluations) == [1, 2]
    rows = {(r["task"], r["model"]): r for r in made.evaluations.to_dicts()}
    # Pairs of four: one right .5, none 0, three right 1; standard deviation .5 over the root of three questions.
    row = rows["chain", "untrained"]
    assert row["pass_at_2"] == pytest.approx(0.5)
    assert row["pass_at_2_stderr"] == pytest.approx(0.5 / math.sqrt(3))
    assert row["pass_at_1"] == pytest.approx(row["accuracy"])
    assert row["pass_at_1_stderr"] == pytest.approx(row["stderr"])
    # Half a point is no right answer.
    assert rows["chain", "lalp/seed-0"]["pass_at_1"] == pytest.approx((1 + 0.25 + 0) / 3)
    choice = rows["choice", "untrained"]
    assert (choice["pass_at_1"], choice["pass_at_2"], choice["pass_at_2_stderr"]) == (0.5, None, None)


def test_metrics_have_it_for_students_and_as_a_mean_over_seeds():
    chain = evaluated(2).metrics()["chain"]
    assert chain["untrained"]["pass_at_2"] == pytest.approx(0.5)
    assert chain["lalp"]["pass_at_2"] == pytest.approx(((1 + 0.5 + 0) / 3 + (1 + 1 + 0.5) / 3) / 2)
    assert chain["lalp"]["seed-1"]["pass_at_2"] == pytest.approx(2.5 / 3)
    assert not any(name.startswith("pass_at") for name in evaluated(2).metrics()["choice"]["untrained"])


def test_without_it_nothing_has_a_column_and_no_answer_is_asked_for_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "pick_device", lambda _: "cpu")
    assert evaluated().evaluations.columns == list(tables.EVALUATIONS.schema)
    settings = {"samples": 4, "temperature": 1.0}
    keys = [
        key_settings(params.Evaluate.model_validate(settings | more), params.Student())
        for more in ({}, {"pass_at": [1, 4]})
    ]
    assert keys[0] == keys[1]


def test_more_than_the_samples_is_refused():
    with pytest.raises(ParamsError, match="pass_at has 4, which needs as many samples, and samples is 2; raise it"):
        params.parse({"evaluate": {"pass_at": [1, 4], "samples": 2, "temperature": 1}})
