"""A selector whose set shows another trace of each prompt every epoch."""

import json
from pathlib import Path

import polars as pl
import pytest

from helpers.select_pools import make_pool
from stepsift import params
from stepsift.core import table_files, tables
from stepsift.select import examples, export, select
from stepsift.select.questions import load_questions

ROWS = [{"prompt_id": p, "teacher": t, "lalp": x} for p in "pq" for t, x in (("a", -2.0), ("b", -1.0), ("c", -3.0))] + [
    {"prompt_id": "r", "teacher": "a"}
]
OFF = {"unfinished_thinking": False, "loops": False, "near_duplicates": None, "decontaminate": None}


def curated(selector: object, **more: object) -> pl.DataFrame:
    settings = params.Select.model_validate({"selectors": [selector], "bootstrap": 100, "filters": OFF} | more)
    [table] = select(make_pool(ROWS).in_frames(), settings, load_questions((), Path())).curated.values()
    return table_files.validate(tables.CURATED, table)


def test_the_name_alone_takes_all_candidates_in_a_seeded_order():
    table = curated("random_each_epoch")
    assert table["selector"].unique().to_list() == ["random_each_epoch"]
    turns = {p: dict(rows.sort("turn").select("turn", "trace_id").rows()) for (p,), rows in table.group_by("prompt_id")}
    assert {p: sorted(t) for p, t in turns.items()} == {"p": [1, 2, 3], "q": [1, 2, 3], "r": [1]}
    assert {p: len(set(t.values())) for p, t in turns.items()} == {"p": 3, "q": 3, "r": 1}
    orders = {tuple(curated("random_each_epoch", seed=s)["turn"]) for s in range(5)}
    assert len(orders) > 1
    # The first pass is what `random` draws.
    first = curated("random").sort("prompt_id")["trace_id"].to_list()
    assert [turns[p][1] for p in sorted(turns)] == first


def test_by_a_metric_the_best_comes_first():
    table = curated({"name": "two", "by": "lalp", "per_prompt": 2, "each_epoch": True})
    by_turn = table.filter(pl.col("prompt_id") == "p").sort("turn")["teacher"].to_list()
    assert by_turn == ["b", "a"]


@pytest.mark.parametrize("weights", ["none", {"by": "lalp"}])
def test_exports_have_the_turn_as_a_whole_number_and_a_trace_weighs_one(weights, tmp_path: Path):
    pool = make_pool(ROWS).in_frames()
    table = curated("random_each_epoch", weights=weights)
    rows = examples(table, pool)
    export.write(rows, ("messages", "parquet"), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [type(line["turn"]) for line in lines] == [int] * 7
    assert [line["turn"] for line in lines] == table["turn"].to_list()
    assert pl.read_parquet(tmp_path / "train.parquet")["turn"].to_list() == table["turn"].to_list()
    assert [line.get("weight") for line in lines] == ([None] if weights == "none" else [1.0]) * 7
    assert "turn" not in curated("lalp").columns
