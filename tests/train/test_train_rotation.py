"""Every pass another trace of each prompt: what is shown when, by hand, and that budgets stay what they are."""

from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.training import STUDENT, files_in, row, write
from stepsift import params, train
from stepsift.core import tables
from stepsift.core.errors import TrainingError
from stepsift.student import StudentSource, load_renderer
from stepsift.train.examples import hold_out_places
from stepsift.train.launch import Job
from stepsift.train.order import presentation
from stepsift.train.run import key_parts

THREE = ((0, 1, 2), (3,), (5, 4))


def settings(**changes: object) -> params.Train:
    return params.Train.model_validate(changes)


def test_a_pass_shows_one_trace_of_each_prompt_and_the_next_pass_the_next_one():
    shown = presentation([1] * 6, settings(epochs=4), 0, THREE)
    passes = [shown[i : i + 3] for i in range(0, 12, 3)]
    assert [set(p) for p in passes] == [{0, 3, 5}, {1, 3, 4}, {2, 3, 5}, {0, 3, 4}]
    assert shown != presentation([1] * 6, settings(epochs=4), 1, THREE)
    assert presentation([1] * 6, settings(epochs=1.5), 0, THREE) == shown[:5]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 60), st.integers(0, 5))
def test_a_budget_counts_every_showing_and_prompts_take_turns(sizes, budget, seed):
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    rotation = tuple(tuple(range(s, s + n)) for s, n in zip(starts, sizes, strict=True))
    shown = presentation([1] * sum(sizes), settings(budget={"examples": budget}), seed, rotation)
    assert len(shown) == budget
    prompt = {i: p for p, own in enumerate(rotation) for i in own}
    times = Counter(prompt[i] for i in shown)
    assert max(times.values()) - min(times.get(p, 0) for p in range(len(sizes))) <= 1
    for p, own in enumerate(rotation):
        assert [i for i in shown if prompt[i] == p] == [own[n % len(own)] for n in range(times.get(p, 0))]


def test_prompts_of_one_trace_are_shown_as_they_always_were():
    for changes in ({"epochs": 2.5}, {"budget": {"tokens": 40}}):
        singles = tuple((i,) for i in range(4))
        assert presentation([5] * 4, settings(**changes), 3, singles) == presentation([5] * 4, settings(**changes), 3)


def turning(prompt: int, turn: int) -> dict:
    made = row(f"{prompt} ?", "a" * (prompt + turn), prompt)
    return made | {"trace_id": f"t{prompt}-{turn}", "turn": turn}


ROWS = [turning(0, 2), turning(0, 1), turning(1, 1), turning(2, 3), turning(2, 1)]


@pytest.fixture(scope="module")
def examples(student_folder, tmp_path_factory: pytest.TempPathFactory):
    renderer = load_renderer(files_in(student_folder("llama")), STUDENT)
    folder = tmp_path_factory.mktemp("turns")
    return lambda rows: train.load_examples(write(rows, folder / "t.jsonl"), renderer, 512, "t.jsonl")


def test_turns_come_from_the_set_whatever_the_order_of_rows_and_however_many_are_missing(examples):
    data = examples(ROWS)
    assert data.rotation == ((1, 0), (2,), (4, 3))
    assert data.pass_size == 3
    # Of prompts with one trace each nothing turns: the student that was trained before is the student.
    once = [ROWS[1], ROWS[2], ROWS[4]]
    plain = [{k: v for k, v in r.items() if k != "turn"} for r in once]
    assert examples(once).rotation is None
    assert key_parts("s", examples(once), settings(), 0) == key_parts("s", examples(plain), settings(), 0)
    assert data.digest != examples([{k: v for k, v in r.items() if k != "turn"} for r in ROWS]).digest


@pytest.mark.parametrize("turn", [0, 1.5, "1", None, True])
def test_a_turn_that_is_none_is_an_error(turn, examples):
    with pytest.raises(TrainingError, match="line 1 holds no prompt"):
        examples([ROWS[0] | {"turn": turn}])


def test_held_out_prompts_are_held_out_with_all_their_traces(examples):
    data = examples(ROWS)
    rest, held = hold_out_places(data, 0.34)
    part = data.part(rest)
    assert part.rotation is not None
    assert sorted(i for own in part.rotation for i in own) == list(range(len(rest)))
    assert [[part.ids[i] for i in own] for own in part.rotation] == [
        [data.ids[i] for i in own] for own in data.rotation or () if own[0] in rest
    ]
    assert len(data.part(held).rotation or ()) == 1


def test_parts_keep_weights_and_masks():
    frame = pl.DataFrame(schema=tables.REJECTED.schema)
    data = train.Examples([([i], [i]) for i in range(3)], frame, (1.0, 2.0, 3.0), [[0], [-100], [2]])
    part = data.part([2, 1])
    assert (part.ids, part.weights, part.masked) == ([([2], [2]), ([1], [1])], (3.0, 2.0), [[2], [-100]])


def test_a_job_on_disk_keeps_turns(examples, student_folder, tmp_path: Path):
    source = StudentSource(files_in(student_folder("llama")), STUDENT)
    Job(source, settings(), examples(ROWS), 0, tmp_path).write(tmp_path)
    assert Job.read(tmp_path).examples.rotation == ((1, 0), (2,), (4, 3))
