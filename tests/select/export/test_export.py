"""Exports: byte for byte, and read back by the libraries that trainers use."""

import errno
import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.export_rows import SYSTEM, TEXT, chosen_rows
from stepsift import params
from stepsift.select import export

FORMATS = tuple(export.FORMATS)


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_format_of_the_parameters_is_written():
    assert set(FORMATS) == set(params.Select.model_fields["exports"].annotation.__args__[0].__args__)


def test_one_line_byte_for_byte(tmp_path):
    export.write(chosen_rows(1), ("messages",), tmp_path)
    assert (tmp_path / "train.jsonl").read_bytes().decode() == (
        '{"licence": "MIT", "messages": [{"content": "s\\r\\n", "role": "system"}, {"content": "q?", "role": "user"}, '
        '{"content": "<think>\\n½ \\u2028 \\u2029 \\u0085 \\t\\"\\\\ 数学 🙂</think>\\r\\nanswer: 4 \\n", '
        '"role": "assistant"}], '
        '"prompt_id": "p0", "source": "a.jsonl", "source_line": 1, "teacher": "a", "trace_id": "t0"}\n'
    )


def test_files_and_what_is_said_of_them(tmp_path):
    about = export.write(chosen_rows(3), FORMATS, tmp_path)
    assert {name: a["rows"] for name, a in about.items()} == {
        "train.jsonl": 3,
        "prompt_completion.jsonl": 3,
        "sharegpt.jsonl": 3,
        "dataset_info.json": None,
        "train.parquet": 3,
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(about)
    for name, a in about.items():
        assert a["bytes"] == (tmp_path / name).stat().st_size
    assert about["train.jsonl"]["md5"] == hashlib.md5((tmp_path / "train.jsonl").read_bytes()).hexdigest()


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        export.write(chosen_rows(5), FORMATS, tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def responses(folder: Path) -> list[list[str]]:
    """The responses as each format has them."""
    return [
        [r["messages"][-1]["content"] for r in rows_of(folder / "train.jsonl")],
        [r["completion"][0]["content"] for r in rows_of(folder / "prompt_completion.jsonl")],
        [r["conversations"][-1]["value"] for r in rows_of(folder / "sharegpt.jsonl")],
        [m[-1]["content"] for m in pl.read_parquet(folder / "train.parquet")["messages"].to_list()],
    ]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@pytest.mark.slow
@given(st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives_in_every_format(tmp_path, texts):
    export.write(chosen_rows(len(texts), texts), FORMATS, tmp_path)
    assert responses(tmp_path) == [texts] * 4


def test_every_row_carries_licence_and_source(tmp_path):
    export.write(chosen_rows(2).with_columns(licence=pl.Series(["MIT", None])), FORMATS, tmp_path)
    for name in ("train.jsonl", "prompt_completion.jsonl", "sharegpt.jsonl"):
        assert [(r["licence"], r["source"], r["source_line"]) for r in rows_of(tmp_path / name)] == [
            ("MIT", "a.jsonl", 1),
            ("unknown", "a.jsonl", 2),
        ]
    table = pl.read_parquet(tmp_path / "train.parquet")
    assert table["licence"].to_list() == ["MIT", "unknown"] and table["source_line"].to_list() == [1, 2]


def test_a_table_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    export.write(chosen_rows(1), ("parquet",), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def write_half(frame: pl.DataFrame, path: Path, **_: object) -> None:
        path.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", write_half)
    with pytest.raises(OSError, match="No space left"):
        export.write(chosen_rows(2), ("parquet",), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_sharegpt_puts_the_system_message_beside_the_turns(tmp_path):
    export.write(chosen_rows(1), ("sharegpt",), tmp_path)
    [row] = rows_of(tmp_path / "sharegpt.jsonl")
    assert row["system"] == SYSTEM
    assert row["conversations"] == [{"from": "human", "value": "q?"}, {"from": "gpt", "value": TEXT}]
    without = chosen_rows(1).with_columns(pl.col("prompt").list.slice(1))
    export.write(without, ("sharegpt",), tmp_path)
    assert rows_of(tmp_path / "sharegpt.jsonl")[0]["system"] == ""


def test_llamafactory_is_told_of_the_messages(tmp_path):
    export.write(chosen_rows(1), ("messages", "llamafactory"), tmp_path)
    [about] = json.loads((tmp_path / "dataset_info.json").read_text()).values()
    [row] = rows_of(tmp_path / about["file_name"])
    assert about["formatting"] == "sharegpt"
    turns = row[about["columns"]["messages"]]
    tags = about["tags"]
    roles = {tags["system_tag"]: "system", tags["user_tag"]: "user", tags["assistant_tag"]: "assistant"}
    assert [roles[t[tags["role_tag"]]] for t in turns] == ["system", "user", "assistant"]
    assert turns[-1][tags["content_tag"]] == TEXT


def test_an_export_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("old")
    with pytest.raises(TypeError):
        export.write(chosen_rows(1).with_columns(prompt=pl.lit(None)), ("messages",), tmp_path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["train.jsonl", "prompt_completion.jsonl", "sharegpt.jsonl", "train.parquet"])
def test_datasets_reads_it(tmp_path, file):
    import datasets

    export.write(chosen_rows(3), FORMATS, tmp_path / "set")
    kind = "parquet" if file.endswith(".parquet") else "json"
    path, cache = str(tmp_path / "set" / file), str(tmp_path / "cache")
    rows = datasets.load_dataset(kind, data_files=path, split="train", cache_dir=cache)
    assert rows.num_rows == 3 and rows[1]["prompt_id"] == "p1"
    last = {"train": "messages", "prompt_completion": "completion", "sharegpt": "conversations"}[file.split(".")[0]]
    assert TEXT in rows[0][last][-1].values()


@pytest.mark.slow
@pytest.mark.parametrize("file", ["train.jsonl", "prompt_completion.jsonl", "sharegpt.jsonl"])
def test_datasets_reads_a_licence_that_comes_late(tmp_path, file):
    """`datasets` fixes the columns' types on the first 10 MB of a file."""
    import datasets

    chosen = chosen_rows(13, ["x" * 1_000_000] * 13)
    export.write(chosen.with_columns(licence=pl.Series([None] * 12 + ["MIT"])), FORMATS, tmp_path / "set")
    path, cache = str(tmp_path / "set" / file), str(tmp_path / "cache")
    rows = datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
    assert rows["licence"][-2:] == ["unknown", "MIT"]


@pytest.mark.parametrize("file", ["train.jsonl", "prompt_completion.jsonl"])
def test_trl_trains_on_the_response_as_it_stands(tmp_path, file, student_folder):
    """TRL's own preparation: all of the text of chat messages, the completion alone where it is named so."""
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    export.write(chosen_rows(2), ("messages", "prompt_completion"), tmp_path / "set")
    path, cache = str(tmp_path / "set" / file), str(tmp_path / "cache")
    rows = datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
    folder = student_folder("llama", "qwen2")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(folder),
        SFTConfig(str(tmp_path / "out"), report_to=[], max_length=None, use_cpu=True, bf16=False),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    prepared = trainer.train_dataset[0]
    text = tokenizer.decode(prepared["input_ids"])
    assert "<|im_start|>user\nq?<|im_end|>" in text and f"<|im_start|>assistant\n{TEXT}<|im_end|>" in text
    if file == "prompt_completion.jsonl":
        in_the_loss = tokenizer.decode([i for i in prepared["labels"] if i != -100])
        assert TEXT in in_the_loss and "q?" not in in_the_loss
