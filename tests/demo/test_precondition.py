"""Mean log-probability by position, and each precondition: by hand, whatever the order of rows, and as a table."""

import json
import sys

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import precondition
from precondition import Precondition, by_position, exit_code, of_audition, of_scores, page, table

TRACES = pl.DataFrame({"trace_id": ["a", "b"], "teacher": ["t", "u"]})


def steps_of(rows: list[tuple[str, int, int, float | None, float | None]]) -> pl.DataFrame:
    names = ["trace_id", "step", "n_tokens", "full_logprob", "local_logprob"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_by_hand():
    # Trace a: middles at 1/8, 4/8 and 7/8 of 8 tokens, thus parts 1, 2 (of two, halves belong to the later) and 2.
    steps = steps_of(
        [("a", 0, 2, -2.0, -4.0), ("a", 1, 4, -4.0, -6.0), ("a", 2, 2, -8.0, -6.0), ("b", 0, 1, -3.0, -5.0)]
    )
    found = by_position(steps, TRACES, parts=2)
    assert found["teacher"].to_list() == ["t", "t", "u"]
    assert found["part"].to_list() == [1, 2, 2]
    assert found["n_tokens"].to_list() == [2, 6, 1]
    assert found["full"].to_list() == [-1.0, -2.0, -3.0]
    assert found["windowed"].to_list() == [-2.0, -2.0, -5.0]


def test_a_trace_without_full_scores_is_left_out():
    found = by_position(steps_of([("a", 0, 2, None, -4.0), ("b", 0, 1, -3.0, -5.0)]), TRACES)
    assert found["teacher"].to_list() == ["u"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.randoms())
def test_every_token_is_in_one_part_whatever_the_order(sizes, random):
    rows = [("a", i, n, -2.0 * n, -3.0 * n) for i, n in enumerate(sizes)]
    random.shuffle(rows)
    found = by_position(steps_of(rows), TRACES)
    assert found["n_tokens"].sum() == sum(sizes)
    assert found["part"].is_between(1, 10).all()
    assert found["full"].to_list() == pytest.approx([-2.0] * len(found))
    assert found["windowed"].to_list() == pytest.approx([-3.0] * len(found))


def test_table_is_shortest_first_and_leaves_empty_parts_empty():
    steps = steps_of([("a", 0, 20, -20.0, -40.0), ("b", 0, 2, -6.0, -10.0)])
    lines = table(by_position(steps, TRACES), {"t": 20.0, "u": 2.0}, shown=(1, 6)).splitlines()
    assert lines[0] == "| teacher (tokens) | context | part 1 | part 6 |"
    assert lines[2] == "| u (2) | full |  | -3.00 |"
    assert lines[5] == "| t (20) | windowed |  | -2.00 |"


def world(shape: dict[str, tuple[int, float, float]], prompts: int = 4) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Steps and traces of teachers that write `n` steps of two tokens, whose log-probability a token rises evenly by
    so much in the whole context and in windows, from -2 at the first step."""
    steps, traces = [], []
    for teacher, (n, rise, rise_in_windows) in shape.items():
        for prompt in range(prompts):
            trace = f"{teacher}{prompt}"
            traces.append((trace, teacher, f"p{prompt}", "correct"))
            for i in range(n):
                at = i / max(1, n - 1)
                steps.append((trace, i, 2, 2 * (-2 + rise * at), 2 * (-2 + rise_in_windows * at)))
    return steps_of(steps), pl.DataFrame(traces, ["trace_id", "teacher", "prompt_id", "verdict"], orient="row")


def measured(shape: dict[str, tuple[int, float, float]]) -> list[tuple[str, bool | None]]:
    return [(p.measured, p.holds) for p in of_scores(*world(shape))]


def test_lengths_count_teachers_by_their_traces():
    two_of_three = {"a": (12, 0, 0), "b": (40, 0, 0), "c": (41, 0, 0)}
    assert measured(two_of_three)[0] == ("2 of 3", True)
    assert measured({"a": (12, 0, 0), "b": (11, 0, 0), "c": (41, 0, 0)})[0] == ("1 of 3", False)
    steps, traces = world({"a": (20, 0, 0)}, prompts=10)
    short = pl.col("trace_id").is_in(["a0", "a1"]) & (pl.col("step") > 5)
    assert of_scores(steps.filter(~short), traces)[0].measured == "0 of 1"


def test_window_share_by_hand():
    # Of six equal steps the second to fifth see everything, the sixth four of five: (4 + .8) / 5.
    assert measured({"a": (6, 0, 0)})[1] == ("96.0%", False)
    # Steps 1 to 4 see everything, step i of the rest 4 of i: (4 + 4 * (1/5 + .. + 1/39)) / 39.
    share = (4 + 4 * sum(1 / i for i in range(5, 40))) / 39
    assert measured({"a": (40, 0, 0)})[1] == (f"{share:.1%}", share <= 1 / 3)


@pytest.mark.parametrize(
    ("rises", "n_rising", "holds"),
    [
        ([(0.6, 0.0), (0.0, 0.0), (0.0, 0.0)], 1, True),
        ([(0.6, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)], 1, False),
        ([(0.6, 0.6), (0.0, 0.0), (0.0, 0.0)], 0, False),
        ([(0.4, 0.0)], 0, False),
        ([(-0.6, -0.6)], 0, False),
    ],
)
def test_a_rise_counts_in_the_whole_context_alone(rises, n_rising, holds):
    # From the mean of the first third of thirty steps to that of the last are two thirds (20 of 29) of the whole rise.
    found = of_scores(*world({f"t{i}": (30, *rise) for i, rise in enumerate(rises)}))[2]
    assert found.measured.partition(" (")[0] == f"{n_rising} of {len(rises)}"
    assert found.holds is holds


def test_choices_by_hand():
    # On prompt p the long step decides galp, the short ones decide the means over steps; on q, where no
    # answer is right, all choose d.
    steps = steps_of(
        [
            ("a", 0, 8, -8.0, -8.0),
            ("a", 1, 1, -4.0, -4.0),
            ("b", 0, 8, -16.0, -16.0),
            ("b", 1, 1, -2.0, -2.0),
            ("c", 0, 1, -5.0, -5.0),
            ("d", 0, 1, -1.0, -1.0),
        ]
    )
    columns = ["trace_id", "teacher", "prompt_id", "verdict"]
    rows = [
        ("a", "t", "p", "correct"),
        ("b", "u", "p", "correct"),
        ("c", "t", "q", "correct"),
        ("d", "u", "q", "wrong"),
    ]
    as_galp, as_step_mean = of_scores(steps, pl.DataFrame(rows, columns, orient="row"))[3:]
    assert (as_galp.measured, as_galp.holds) == ("50.0% of 2", True)
    assert (as_step_mean.measured, as_step_mean.holds) == ("100.0%", False)
    # Of a prompt with a right answer only right ones are taken: u's on p.
    rows[0] = ("a", "t", "p", "wrong")
    as_galp = of_scores(steps, pl.DataFrame(rows, columns, orient="row"))[3]
    assert (as_galp.measured, as_galp.holds) == ("100.0% of 2", False)


def audition(teachers: list[float], random: float) -> tuple[dict, dict]:
    arms = {f"only {i}": {"kind": "teacher"} for i in range(len(teachers))} | {"random": {"kind": "control"}}
    values = dict(zip(arms, [*teachers, random], strict=True))
    return {"budgets": {"b": {"accuracy": {arm: {"value": v} for arm, v in values.items()}}}}, {"arms": arms}


@pytest.mark.parametrize(
    ("teachers", "random", "holds"),
    [
        ([0.05, 0.3, 0.6, 0.97], 0.06, [True, True, True]),
        ([0.05, 0.09, 0.6, 0.9], 0.06, [False, True, True]),
        ([0.3, 0.96, 0.6, 0.97], 0.06, [False, True, True]),
        ([0.1, 0.3, 0.45, 0.49], 0.06, [True, False, True]),
        ([0.1, 0.3, 0.6, 0.95], 0.05, [True, True, False]),
    ],
)
def test_accuracies(teachers, random, holds):
    assert [p.holds for p in of_audition(*audition(teachers, random))] == holds


def test_the_exit_code_says_what_the_page_says(tmp_path, monkeypatch, capsys):
    yes, no, unknown = (Precondition("n", "t", "m", holds) for holds in (True, False, None))
    assert [exit_code(p) for p in ([yes], [yes, no, unknown], [yes, unknown])] == [0, 1, 3]
    assert page([no]).splitlines()[-1] == "| n | t | m | **no** |"
    steps, traces = world({"a": (20, 0, 0)})
    steps.write_parquet(tmp_path / "steps")
    traces.write_parquet(tmp_path / "traces")
    (tmp_path / "result.json").write_text(json.dumps(audition([0.2, 0.9], 0.3)[0]))
    (tmp_path / "plan.json").write_text(json.dumps(audition([0.2, 0.9], 0.3)[1]))
    command = ["precondition.py", str(tmp_path / "traces"), str(tmp_path / "steps")]
    for extra, unmeasured in (([], 3), (["--audition", str(tmp_path)], 0)):
        monkeypatch.setattr(sys, "argv", command + extra)
        assert precondition.main() == 1
        assert capsys.readouterr().out.count("not measured |") == unmeasured
