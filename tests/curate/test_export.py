"""train.jsonl, byte for byte."""

import json

import polars as pl
import pytest

from stepsift import tables
from stepsift.curate.export import write_train_jsonl

TEXT = '<think>\n½ \u2028 \u2029 \x85 \t"\\ 数学 🙂</think>\nanswer: 4\n'


def frames(n: int = 1) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "q?"}]
    prompts = pl.DataFrame(
        {"prompt_id": [f"p{i}" for i in range(n)], "prompt": [messages] * n},
        schema_overrides={"prompt": tables.MESSAGES},
    )
    traces = pl.DataFrame({"trace_id": [f"t{i}" for i in range(n)], "response": [TEXT] * n})
    curated = pl.DataFrame(
        {"prompt_id": [f"p{i}" for i in range(n)], "trace_id": [f"t{i}" for i in range(n)], "teacher": ["a"] * n}
    )
    return curated, prompts, traces


def test_one_line_byte_for_byte(tmp_path):
    write_train_jsonl(*frames(), tmp_path / "new" / "train.jsonl")
    assert (tmp_path / "new" / "train.jsonl").read_bytes().decode() == (
        '{"messages": [{"content": "s", "role": "system"}, {"content": "q?", "role": "user"}, '
        '{"content": "<think>\\n½ \\u2028 \\u2029 \\u0085 \\t\\"\\\\ 数学 🙂</think>\\nanswer: 4\\n", '
        '"role": "assistant"}], '
        '"prompt_id": "p0", "teacher": "a", "trace_id": "t0"}\n'
    )


def test_responses_survive_and_every_line_is_one_example(tmp_path):
    write_train_jsonl(*frames(3), tmp_path / "train.jsonl")
    lines = (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert [json.loads(line)["messages"][-1] for line in lines] == [{"role": "assistant", "content": TEXT}] * 3


def test_rows_are_sorted_whatever_comes_in(tmp_path):
    curated, prompts, traces = frames(5)
    write_train_jsonl(curated, prompts, traces, tmp_path / "one.jsonl")
    write_train_jsonl(curated.reverse(), prompts.reverse(), traces.reverse(), tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_an_export_that_fails_leaves_the_old_file(tmp_path):
    curated, prompts, traces = frames()
    path = tmp_path / "train.jsonl"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_train_jsonl(curated, prompts.clear(), traces, path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_library_that_trainers_read_with_takes_it(tmp_path):
    import datasets

    write_train_jsonl(*frames(3), tmp_path / "train.jsonl")
    rows = datasets.load_dataset(
        "json", data_files=str(tmp_path / "train.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows.num_rows == 3
    assert rows[0]["messages"][-1] == {"role": "assistant", "content": TEXT}
