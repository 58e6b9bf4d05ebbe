"""Masked steps, read from label ids: what is in the loss, token by token, and what training makes of it."""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM

from helpers.training import STUDENT, files_in, row, write
from stepsift import params, train
from stepsift.core import tables
from stepsift.core.errors import TrainingError
from stepsift.render import Rendered
from stepsift.student import StudentSource, load_renderer
from stepsift.train.fit import _Collator, dataset, fit_student
from stepsift.train.launch import Job
from stepsift.train.run import key_parts

SETTINGS = params.Train(epochs=2, batch_size=4, learning_rate=1e-3)


def span(begin: int, behind: int, trained: bool) -> dict[str, Any]:
    return {"begin_offset": begin, "end_offset": behind - 1, "train": trained}


def masked_row(prompt: str, answer: str, masked: list[tuple[int, int]], n: int = 0, **keys: Any) -> dict[str, Any]:
    made = row(prompt, answer, n) | keys
    made["messages"][-1]["train_detail"] = [span(0, len(answer), True), *(span(a, b, False) for a, b in masked)]
    return made


@dataclasses.dataclass
class ByHand:
    """A renderer whose tokens are 10, 11, ..: `lasts` are their last characters. The end token is 9."""

    lasts: list[int]
    end_id = 9

    def render(self, messages: Any, response: str) -> Rendered:
        ids = list(range(10, 10 + len(self.lasts)))
        return Rendered([1, 2], ids, np.array(self.lasts), np.ones(len(ids), dtype=bool), 9)


def loaded(rows: list[dict[str, Any]], renderer: Any, folder: Path) -> train.Examples:
    return train.load_examples(write(rows, folder / "t.jsonl"), renderer, 512, "t.jsonl")


# "ab", "cd", "ef": the token in the middle straddles a border between the third and the fourth character.
@pytest.mark.parametrize(
    ("masked", "labels"),
    [
        ([(0, 3)], [-100, 11, 12, 9]),  # it belongs to the step of its last character, the second
        ([(3, 6)], [10, -100, -100, 9]),
        ([(0, 2)], [-100, 11, 12, 9]),
        ([(4, 6)], [10, 11, -100, 9]),  # the end is learned, also behind a masked step
        ([(0, 2), (4, 6)], [-100, 11, -100, 9]),
        ([], [10, 11, 12, 9]),
    ],
)
def test_a_token_is_masked_with_the_step_of_its_last_character(masked, labels, tmp_path: Path):
    data = loaded([masked_row("?", "abcdef", masked), row("?", "abcdef")], ByHand([1, 3, 5]), tmp_path)
    assert data.ids == [([1, 2], [10, 11, 12, 9])] * 2
    assert data.labels == [labels, [10, 11, 12, 9]]
    assert data.lengths == [4 - labels.count(-100), 4]
    assert (data.masked is None) == (not masked)
    assert dataset(data.ids, data.labels).to_list()[0] == {
        "input_ids": [1, 2, 10, 11, 12, 9],
        "labels": [-100, -100, *labels],
    }


def test_a_trace_that_is_cut_has_neither_end_token_nor_what_lies_behind_the_cut(tmp_path: Path):
    rows = [masked_row("?", "abcdef", [(3, 6)], train_end=False), masked_row("?", "abcdef", [], train_end=True)]
    data = loaded(rows, ByHand([1, 2, 3, 5]), tmp_path)
    assert data.ids == [([1, 2], [10, 11]), ([1, 2], [10, 11, 12, 13, 9])]
    assert data.labels == [[10, 11], [10, 11, 12, 13, 9]]
    assert data.masked is None  # ids say it all
    one = loaded([masked_row("?", "abcdef", [(2, 6)], train_end=False)], ByHand([1, 3, 5]), tmp_path)
    assert one.ids == [([1, 2], [10])]
    inside = loaded([masked_row("?", "abcdef", [(0, 2), (4, 6)], train_end=False)], ByHand([1, 3, 5]), tmp_path)
    assert (inside.ids, inside.labels) == ([([1, 2], [10, 11])], [[-100, 11]])


def test_an_example_of_which_nothing_is_left_is_left_out(tmp_path: Path):
    rows = [masked_row("?", "abcdef", [(0, 6)], train_end=False, n=1), row("?", "abcdef")]
    data = loaded(rows, ByHand([1, 3, 5]), tmp_path)
    assert (len(data.ids), data.rejected["reason"].to_list()) == (1, ["no_tokens"])
    assert "all tokens of the response are masked" in data.rejected["detail"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"begin_offset": -1},
        {"end_offset": "3"},
        {"begin_offset": 5, "end_offset": 4},
        {"train": None},
        {"train": 1},
        {"begin_offset": True},
    ],
    ids=str,
)
def test_a_span_that_is_none_is_an_error(change, tmp_path: Path):
    broken = masked_row("?", "abcdef", [(0, 2)])
    broken["messages"][-1]["train_detail"][-1] |= change
    with pytest.raises(TrainingError, match="line 2 holds no prompt with an assistant's answer"):
        loaded([row("?", "abcdef"), broken], ByHand([1, 3, 5]), tmp_path)


def test_masks_are_in_the_digest_and_none_at_all_are_not(tmp_path: Path):
    """By hand, as 64-bit numbers; a student that was trained before on the same ids is not trained again."""
    data = train.Examples([([1, 2], [3]), ([4], [5, 6])], pl.DataFrame(schema=tables.REJECTED.schema))
    content = struct.pack("<10q", 2, 1, 2, 1, 3, 1, 4, 2, 5, 6)
    assert data.digest == hashlib.sha256(content).hexdigest()
    masking = dataclasses.replace(data, masked=[[3], [-100, 6]])
    assert masking.digest == hashlib.sha256(content + struct.pack("<5q", 1, 3, 2, -100, 6)).hexdigest()
    nothing = loaded([masked_row("?", "abcdef", [])], ByHand([1, 3, 5]), tmp_path)
    plain = loaded([row("?", "abcdef")], ByHand([1, 3, 5]), tmp_path)
    steps = SETTINGS.model_copy(update={"steps": params.DroppedSteps(drop="lowest")})
    assert key_parts("s", nothing, steps, 0) == key_parts("s", plain, SETTINGS, 0)
    assert "steps" not in key_parts("s", plain, SETTINGS, 0)["settings"]


ANSWERS = ["It is 5.", "42 🙂 and a good deal more of it", "42. Yes!", "Let x be 2.\nThen it is 5."]
MASKS = [[(0, 3)], [(3, 5), (10, 20)], [], [(12, 25)]]
ROWS = [masked_row(f"{i} + {i} ?", a, m, i) for i, (a, m) in enumerate(zip(ANSWERS, MASKS, strict=True))]
Fit = Callable[..., list[float]]


@pytest.fixture(scope="module")
def llama(student_folder, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudentSource, train.Examples]:
    files = files_in(student_folder("llama"))
    folder = tmp_path_factory.mktemp("set")
    return StudentSource(files, STUDENT), loaded(ROWS, load_renderer(files, STUDENT), folder)


def test_labels_of_a_real_tokenizer_spell_what_is_not_masked(llama):
    source, data = llama
    tokenizer = source.load_renderer().tokenizer
    for (_, completion), labels, answer, masked in zip(data.ids, data.labels, ANSWERS, MASKS, strict=True):
        left = "".join(c for i, c in enumerate(answer) if not any(a <= i < b for a, b in masked))
        assert labels[-1] == completion[-1]
        assert all(label in (-100, token) for label, token in zip(labels, completion, strict=True))
        assert tokenizer.decode([i for i in labels[:-1] if i != -100]).strip() == left.strip()


def test_packed_labels_lie_on_their_ids(llama):
    _, data = llama
    batch = _Collator(pad_token_id=0, padding_free=True)(dataset(data.ids, data.labels).to_list())
    expected = [-100 if j < len(p) else o[j - len(p)] for (p, c), o in zip(data.ids, data.labels, strict=True)
                for j in range(len(p) + len(c))]  # fmt: skip
    assert batch["labels"][0].tolist() == expected
    assert batch["input_ids"][0].tolist() == [i for p, c in data.ids for i in (*p, *c)]


def fit(source: StudentSource, data: train.Examples, out: Path, **changes: Any) -> list[float]:
    """The loss of each update."""
    checkpoints = changes.pop("checkpoints", None)
    settings = params.Train.model_validate(SETTINGS.model_dump(exclude_none=True) | changes)
    fit_student(Job(source, settings, data, 0, out, checkpoints), changes.pop("on_log", None))
    return [json.loads(line)["loss"] for line in (out / "curve.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "changes", [{"micro_batch": 1}, {"packing": True}, {"micro_batch": 2, "lora": {"rank": 2}}], ids=str
)
def test_the_loss_is_over_the_labels_that_are_left_and_weighted(changes, llama, tmp_path: Path):
    source, data = llama
    weights = (3.0, 0.5, 1.0, 0.25)
    curve = fit(source, dataclasses.replace(data, weights=weights), tmp_path / "out", **changes)
    model = AutoModelForCausalLM.from_pretrained(source.files.folder, dtype=torch.float32).eval()
    total = n = 0.0
    for (prompt, completion), labels, weight in zip(data.ids, data.labels, weights, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1].double()
        each = -torch.log_softmax(logits, -1).gather(1, torch.tensor(completion)[:, None])[:, 0]
        kept = torch.tensor(labels) != -100
        total, n = total + weight * float(each[kept].sum()), n + weight * int(kept.sum())
    # The first update shows all four, before any weight of the model has moved.
    assert curve[0] == pytest.approx(total / n, rel=1e-4)
    about = json.loads((tmp_path / "out" / "training.json").read_text())
    assert about["response_tokens"] == sum(data.lengths) < sum(len(c) for _, c in data.ids)
    assert about["presented_tokens"] == 2 * sum(data.lengths)


class KilledError(Exception):
    pass


def test_a_training_with_masks_goes_on_where_it_was_killed(llama, tmp_path: Path):
    source, data = llama
    how = {"packing": True, "micro_batch": 2, "epochs": 3, "checkpoint_every": 1}
    (tmp_path / "checkpoints").mkdir()
    whole = fit(source, data, tmp_path / "whole", **how)

    def kill(update: int, values: dict[str, float]) -> None:
        if update == 2:
            raise KilledError

    settings = params.Train.model_validate(SETTINGS.model_dump(exclude_none=True) | how)
    with pytest.raises(KilledError):
        fit_student(Job(source, settings, data, 0, tmp_path / "again", tmp_path / "checkpoints"), kill)
    assert fit(source, data, tmp_path / "again", checkpoints=tmp_path / "checkpoints", **how) == whole
    files = [tmp_path / name / "model.safetensors" for name in ("whole", "again")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_job_on_disk_keeps_masks(llama, tmp_path: Path):
    source, data = llama
    for masked in (None, data.masked):
        Job(source, SETTINGS, dataclasses.replace(data, masked=masked), 0, tmp_path).write(tmp_path)
        assert Job.read(tmp_path).examples.masked == masked
