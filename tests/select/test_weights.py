"""Weights of a prompt's chosen traces: worked out by hand, their sums, and nothing at all without them."""

import json
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.export_rows import chosen_rows
from helpers.select_pools import make_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.select import export, select
from stepsift.select.card import _how
from stepsift.select.questions import load_questions
from stepsift.select.weights import weighted

LARK = {"name": "lark", "by": "lark_g", "per_prompt": 3}
OFF = {"unfinished_thinking": False, "loops": False, "near_duplicates": None, "decontaminate": None}


def settings(weights: object, *selectors: object) -> params.Select:
    return params.Select.model_validate({"selectors": selectors or (LARK,), "weights": weights})


def chosen(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    """What weights need of table curated: prompt, trace and runner-up."""
    return pl.DataFrame(
        rows, schema={"prompt_id": pl.String, "trace_id": pl.String, "runner_up": pl.String}, orient="row"
    )


def scores(name: str, **values: float | None) -> pl.DataFrame:
    return pl.DataFrame({"trace_id": list(values), name: list(values.values())}, schema_overrides={name: pl.Float64})


def weights_of(curated: pl.DataFrame, candidates: pl.DataFrame, how: object, by: str = "lark_g") -> list[float]:
    return weighted(curated, candidates, settings(how), by)["weight"].to_list()


def test_lark_worked_example():
    # Above the fourth, .05: .25, .15 and .05, of .45 in all. q: above the second, .1: all of it.
    curated = chosen(("p", "a", "d"), ("p", "b", "d"), ("p", "c", "d"), ("q", "e", "f"))
    gains = scores("lark_g", a=0.3, b=0.2, c=0.1, d=0.05, e=0.4, f=0.1)
    assert weights_of(curated, gains, "lark") == pytest.approx([5 / 9, 3 / 9, 1 / 9, 1])


def test_lark_without_a_next_one_takes_the_lowest_and_equal_gains_weigh_the_same():
    curated = chosen(("p", "a", None), ("p", "b", None), ("q", "c", None), ("r", "d", "f"), ("r", "e", "f"))
    gains = scores("lark_g", a=0.3, b=0.1, c=0.7, d=0.2, e=0.2, f=0.2)
    assert weights_of(curated, gains, "lark") == [1, 0, 1, 0.5, 0.5]


def test_under_lark_other_selectors_weigh_all_the_same():
    curated = chosen(("p", "a", None), ("p", "b", None), ("q", "c", None))
    assert weights_of(curated, scores("lalp", a=-1.0, b=-2.0, c=-3.0), "lark", by="lalp") == [0.5, 0.5, 1]


@pytest.mark.parametrize(("by", "a", "b"), [("lalp", -1.0, -2.0), ("entropy", 1.0, 2.0)])
def test_weights_by_a_metric(by, a, b):
    # One unit apart at temperature .5: e^2 to 1.
    curated = chosen(("p", "a", None), ("p", "b", None), ("q", "c", None))
    got = weights_of(curated, scores(by, a=a, b=b, c=9.0), {"by": by, "temperature": 0.5})
    assert got == pytest.approx([math.exp(2) / (1 + math.exp(2)), 1 / (1 + math.exp(2)), 1])


def test_a_prompt_where_a_trace_has_no_score_weighs_all_the_same():
    curated = chosen(("p", "a", None), ("p", "b", None), ("q", "c", None), ("q", "d", None))
    got = weights_of(curated, scores("galp", a=-1.0, b=None, c=-1.0, d=-900.0), {"by": "galp"})
    assert got == [0.5, 0.5, 1, 0]


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.floats(-1e3, 1e3)), min_size=1, max_size=12), st.floats(0.01, 99))
def test_weights_of_a_prompt_sum_to_one(rows, temperature):
    curated = chosen(*((p, f"t{i}", None) for i, (p, _) in enumerate(rows)))
    values = {f"t{i}": x for i, (_, x) in enumerate(rows)}
    for name, how in (("lark_g", "lark"), ("lalp", {"by": "lalp", "temperature": temperature})):
        frame = weighted(curated, scores(name, **values), settings(how), name)
        assert frame["weight"].min() >= 0
        assert frame.group_by("prompt_id").agg(pl.col("weight").sum())["weight"].to_list() == pytest.approx(
            [1.0] * frame["prompt_id"].n_unique()
        )


ROWS = [
    {"prompt_id": p, "teacher": t, "lalp": x, "galp": x}
    for p in "pq"
    for t, x in (("a", -1.0), ("b", -2.0), ("c", -3.0))
]


def test_without_weights_the_table_and_the_exports_are_what_they_were(tmp_path: Path):
    """No column, no key, and the same bytes as of a frame that never heard of weights."""
    pool, questions = make_pool(ROWS), load_questions((), Path())
    base = {"selectors": [{"name": "two", "by": "lalp", "per_prompt": 2}], "bootstrap": 100, "filters": OFF}
    plain = select(pool.in_frames(), params.Select.model_validate(base), questions).curated["two"]
    assert plain.columns == list(tables.CURATED.schema)
    how = {"weights": {"by": "lalp", "temperature": 2.0}}
    heavy = select(pool.in_frames(), params.Select.model_validate(base | how), questions).curated["two"]
    assert heavy.drop("weight").equals(plain)
    half = math.exp(-0.5)
    assert heavy["weight"].to_list() == pytest.approx([1 / (1 + half), half / (1 + half)] * 2)
    table_files.write(tables.CURATED, plain, tmp_path / "plain.parquet")
    table_files.write(tables.CURATED, heavy, tmp_path / "heavy.parquet")
    assert table_files.read(tables.CURATED, tmp_path / "heavy.parquet").equals(heavy)
    closed = tables.Table(
        **{f: getattr(tables.CURATED, f) for f in tables.CURATED.__dataclass_fields__} | {"open_columns": False}
    )
    table_files.write(closed, plain, tmp_path / "before.parquet")
    assert (tmp_path / "plain.parquet").read_bytes() == (tmp_path / "before.parquet").read_bytes()


def test_exports_carry_the_weight_where_there_is_one(tmp_path: Path):
    formats = tuple(name for name in export.FORMATS if name != "llamafactory")
    plain = chosen_rows(2)
    for name, frame in (("plain", plain), ("heavy", plain.with_columns(weight=pl.Series([0.25, 0.75])))):
        export.write(frame, formats, tmp_path / name)
    for file in ("train.jsonl", "prompt_completion.jsonl", "sharegpt.jsonl"):
        heavy, light = (
            [json.loads(line) for line in (tmp_path / name / file).read_text().splitlines()]
            for name in ("heavy", "plain")
        )
        assert [row.pop("weight") for row in heavy] == [0.25, 0.75]
        assert heavy == light
    assert pl.read_parquet(tmp_path / "heavy" / "train.parquet")["weight"].to_list() == [0.25, 0.75]
    assert "weight" not in pl.read_parquet(tmp_path / "plain" / "train.parquet").columns


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ("lark", "(`select.weights`: lark)"),
        ({"by": "lalp"}, "(`select.weights`: by lalp, temperature 1.0, per prompt)"),
    ],
)
def test_the_card_says_what_weights_are_and_who_ignores_them(weights, says):
    how = settings(weights).model_dump(mode="json")
    manifest = {"selector": {"by": "lark_g"}, "student": {}, "parameters": how}
    lines = _how(manifest).splitlines()
    assert any(says in text and "axolotl and LLaMA-Factory ignore it" in text for text in lines)
    assert "weight" not in _how(manifest | {"parameters": how | {"weights": "none"}})
    # Of a set that shows one trace per prompt and pass each weighs 1, whatever the weights are.
    in_turn = _how(manifest | {"selector": {"by": "lark_g", "each_epoch": True}})
    assert "- weights: column `weight` is 1 in each row, since a pass shows one trace per prompt\n" in in_turn
    assert "one in all per prompt" not in in_turn
