"""Steps that are left out of the loss: which ones, worked out by hand, and how exports say it."""

import json
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.export_rows import chosen_rows
from helpers.select_pools import pool_of_steps
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.core.errors import ParamsError, TableError
from stepsift.lineage.exports import _messages, _rows
from stepsift.select import Inputs, ScoredPool, export, select, write_selection
from stepsift.select.questions import load_questions
from stepsift.select.step_masks import masked_steps, spans, with_masks


def drop(**keys: object) -> params.DroppedSteps:
    return params.DroppedSteps.model_validate(keys)


def masked(pool: ScoredPool, how: params.DroppedSteps, seed: int = 0) -> dict[str, list[int]]:
    table = table_files.validate(tables.MASKED_STEPS, masked_steps(pool.traces["trace_id"], pool, how, seed))
    assert all(end == 10 * step == start + 10 for step, start, end in table.select("step", "start", "end").iter_rows())
    return {str(t): rows["step"].to_list() for (t,), rows in table.group_by("trace_id", maintain_order=True)}


FIVE = [(4, -1.0, -2.0), (2, -3.0, -1.0), (6, -0.5, -9.0), (2, -2.0, -3.0), (6, -4.0, -0.1)]
"""20 tokens."""


@pytest.mark.parametrize(
    ("how", "steps"),
    [
        # The fifth has 6 of 20 tokens: .3 misses .2 by less than nothing does; the second besides would make .4.
        ({"drop": "lowest"}, [5]),
        ({"drop": "lowest", "share": 0.4}, [2, 5]),
        ({"drop": "lowest", "share": 0.15}, []),  # as far from 0 as from 6 tokens: the fewer
        ({"drop": "lowest", "share": 0.9, "by": "local"}, [1, 2, 4, 5]),  # never all
        ({"drop": "lowest", "by": "full"}, [3]),
        ({"drop": "highest"}, [3]),
        ({"drop": "highest", "by": "full", "share": 0.4}, [2, 5]),
        ({"drop": "lowest", "spare_last": True}, [2, 4]),  # 4 of 20
        ({"drop": "lowest", "spare_last": True, "share": 0.9}, [1, 2, 3, 4]),
        ({"drop": "last", "share": 0.5}, [4, 5]),  # 8 tokens; with the third 14
        ({"drop": "last", "share": 0.7}, [3, 4, 5]),
    ],
)
def test_which_steps_go_by_hand(how, steps):
    assert masked(pool_of_steps(FIVE), drop(**how)).get("t0", []) == steps


def test_one_step_stays_one_without_tokens_counts_for_nothing_and_one_without_a_score_keeps_its_trace():
    pool = pool_of_steps(
        [(9, -1.0, None)],
        [(0, -9.0, -9.0), (5, -1.0, -1.0), (5, -2.0, -2.0)],
        [(5, -1.0, None), (5, -2.0, -1.0)],
    )
    assert masked(pool, drop(drop="lowest", share=0.5)) == {"t1": [3], "t2": [2]}
    assert masked(pool, drop(drop="lowest", share=0.5, by="full")) == {"t1": [3]}
    assert masked(pool, drop(drop="last", share=0.99)) == {"t1": [3], "t2": [2]}


def test_a_draw_depends_on_seed_trace_and_step_alone_and_differs_from_trace_to_trace():
    twenty = [(1, -1.0, -1.0)] * 20
    both, how = pool_of_steps(twenty, twenty), drop(drop="random", share=0.2)
    steps = masked(both, how)
    assert {t: len(s) for t, s in steps.items()} == {"t0": 4, "t1": 4}
    assert steps["t0"] != steps["t1"]
    assert masked(pool_of_steps(twenty), how)["t0"] == steps["t0"] != masked(both, how, seed=1)["t0"]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(-9, -0.01)), min_size=1, max_size=25),
    st.floats(0.01, 0.99),
    st.sampled_from(["lowest", "highest", "random", "last"]),
)
def test_what_is_masked_is_within_half_a_step_of_the_share_and_goes_in_order(steps, share, order):
    pool = pool_of_steps([(n, x, x) for n, x in steps])
    gone = masked(pool, drop(drop=order, share=share)).get("t0", [])
    filled = {i: (n, x) for i, (n, x) in enumerate(steps, start=1) if n}
    n_tokens = sum(n for n, _ in filled.values())
    n_gone = sum(filled[i][0] for i in gone)
    assert len(gone) < max(len(filled), 1)
    longest = max((n for n, _ in filled.values()), default=0)
    # One always stays, so a share near 1 may not be had.
    assert abs(n_gone - share * n_tokens) <= longest / 2 or len(gone) >= len(filled) - 1
    stayed = [x for i, (_, x) in filled.items() if i not in gone]
    if order == "lowest" and gone:
        assert max(filled[i][1] for i in gone) <= min(stayed)
    if order == "last" and gone:
        assert gone == sorted(filled)[-len(gone) :]


def test_a_step_that_lies_nowhere_is_an_error():
    pool = pool_of_steps(FIVE)
    lost = ScoredPool(pool.prompts, pool.traces, pool.responses, pool.step_scores, lambda: iter([]))
    with pytest.raises(TableError, match="step 5 of trace t0 was scored and is not in table steps"):
        masked(lost, drop(drop="lowest"))
    with pytest.raises(TableError, match="without table steps"):
        masked(ScoredPool(pool.prompts, pool.traces, pool.responses, pool.step_scores), drop(drop="lowest"))


def test_spans_by_hand():
    def plain(length: int, *masked: tuple[int, int]) -> list[tuple[int, int, bool]]:
        return [tuple(s.values()) for s in spans(length, list(masked))]  # type: ignore[misc]

    assert plain(9) == [(0, 8, True)]
    assert plain(9, (0, 3)) == [(0, 2, False), (3, 8, True)]
    assert plain(9, (2, 4), (4, 6), (8, 9)) == [(0, 1, True), (2, 5, False), (6, 7, True), (8, 8, False)]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.data())
def test_spans_cover_a_text_once_and_turn_with_every_span(lengths, data):
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    gone = data.draw(st.lists(st.sampled_from(range(len(ends))), unique=True).map(sorted))
    made = spans(ends[-1], [(ends[i] - lengths[i], ends[i]) for i in gone])
    characters = [s["train"] for s in made for _ in range(s["begin_offset"], s["end_offset"] + 1)]
    assert characters == [i not in gone for i, n in enumerate(lengths) for _ in range(n)]
    assert all(one["train"] != other["train"] for one, other in pairwise(made))


BASE = {
    "selectors": ["lalp"],
    "bootstrap": 100,
    "filters": {"unfinished_thinking": False, "loops": False, "near_duplicates": None, "decontaminate": None},
    "exports": ["messages", "prompt_completion", "sharegpt", "llamafactory", "parquet"],
}


def written(out: Path, steps: params.DroppedSteps | None) -> Path:
    pool, questions, settings = (
        pool_of_steps(FIVE, FIVE[:1]),
        load_questions((), Path()),
        params.Select.model_validate(BASE),
    )
    inputs = Inputs({}, {}, {"path": "student"})
    write_selection(select(pool, settings, questions), pool, settings, questions, inputs, out, steps)
    return out / "lalp"


def test_a_set_with_masked_steps_on_disk(tmp_path: Path):
    plain, masking = written(tmp_path / "plain", None), written(tmp_path / "masked", drop(drop="lowest"))
    expected = [
        [{"begin_offset": 0, "end_offset": 39, "train": True}, {"begin_offset": 40, "end_offset": 49, "train": False}],
        [{"begin_offset": 0, "end_offset": 9, "train": True}],
    ]
    for file, key in (("train", "messages"), ("prompt_completion", "completion"), ("sharegpt", "conversations")):
        rows, whole = list(_rows(masking / f"{file}.jsonl")), list(_rows(plain / f"{file}.jsonl"))
        assert [_messages(row) for row in rows] == [_messages(row) for row in whole]
        assert [row[key][-1].pop("train_detail") for row in rows] == expected
        assert rows == whole
    table = pl.read_parquet(masking / "train.parquet")
    assert table["train_detail"].to_list() == expected
    assert table.drop("train_detail").equals(pl.read_parquet(plain / "train.parquet"))
    kept = table_files.read(tables.MASKED_STEPS, masking / "masked_steps.parquet")
    assert kept.rows() == [("t0", 5, 40, 50, 6)]
    about = json.loads((masking / "manifest.json").read_text())
    assert about["train_steps"] == {"drop": "lowest", "share": 0.2, "by": None, "spare_last": False}
    assert about["files"]["masked_steps.parquet"]["rows"] is None
    card = " ".join((masking / "README.md").read_text().split())
    assert "axolotl with `message_field_training_detail: train_detail`; TRL's SFTTrainer and LLaMA-Factory" in card
    # Nothing of it without masks.
    assert "train_steps" not in json.loads((plain / "manifest.json").read_text())
    assert "train_detail" not in (plain / "README.md").read_text() + (plain / "train.jsonl").read_text()
    assert not (plain / "masked_steps.parquet").exists()


def test_a_trace_that_is_cut_says_that_its_end_is_not_learned():
    pool, how = pool_of_steps(FIVE, FIVE[:1]), drop(drop="last", share=0.5)
    rows = chosen_rows(2, ["x" * 50, "x" * 10])
    cut = with_masks(rows, masked_steps(rows["trace_id"], pool, how, 0), how)
    assert cut["train_end"].to_list() == [False, True]
    assert [s["train"] for s in cut["train_detail"][0]] == [True, False]
    how = drop(drop="lowest")
    assert "train_end" not in with_masks(rows, masked_steps(rows["trace_id"], pool, how, 0), how).columns


def test_train_end_is_a_key_of_the_row(tmp_path: Path):
    frame = chosen_rows(1).with_columns(train_end=pl.lit(False))
    export.write(frame, ("messages",), tmp_path)
    assert next(_rows(tmp_path / "train.jsonl"))["train_end"] is False


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("some", "'train.steps' is 'some': must be 'all'"),
        ({"drop": "lowest", "share": 1}, "'train.steps.share' is 1: must be below 1"),
        ({"drop": "random", "by": "full"}, "drop is 'random', for which no score counts; leave out by"),
        ({"drop": "last", "spare_last": True}, "drop is 'last' and spare_last is true, which contradict each other"),
        ({"drop": "best"}, "'train.steps.drop' is 'best': must be 'lowest', 'highest', 'random' or 'last'"),
    ],
)
def test_settings_that_are_refused(steps, says):
    with pytest.raises(ParamsError) as error:
        params.parse({"train": {"steps": steps}})
    assert says in str(error.value)


def test_the_pass_that_decides_must_be_scored_and_settings_survive_a_dump():
    with pytest.raises(ParamsError, match=r"score\.passes lacks 'full', by which train.steps drops the lowest steps"):
        params.parse(
            {
                "train": {"steps": {"drop": "lowest", "by": "full"}},
                "score": {"passes": ["local"]},
                "select": {"selectors": ["lalp"]},
            }
        )
    for steps in ("all", {"drop": "random"}, {"drop": "highest", "by": "full"}):
        train = params.Train.model_validate({"steps": steps})
        assert params.Train.model_validate(train.model_dump(mode="json")) == train
