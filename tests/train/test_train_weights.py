"""A loss that is weighted by example: plain training where all weigh 1, and a weighted mean of tokens elsewhere."""

import dataclasses
import functools
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from helpers.training import STUDENT, files_in, row, write
from stepsift import params, train
from stepsift.core import tables
from stepsift.core.errors import TrainingError
from stepsift.student import StudentSource, load_renderer
from stepsift.train.fit import fit_student, mean_one
from stepsift.train.launch import Job
from stepsift.train.run import key_parts

ANSWERS = ["It is 5.", "42 🙂 and a good deal more of it", "42. Yes!", "Let x be 2.\nThen it is 5."]
ROWS = [row(f"{i} + {i} ?", a, i) for i, a in enumerate(ANSWERS)]
SETTINGS = params.Train(epochs=2, batch_size=4, learning_rate=1e-3)
Fit = Callable[..., tuple[bytes, list[float]]]


def examples(folder: Path, rows: list[dict], path: Path) -> train.Examples:
    renderer = load_renderer(files_in(folder), STUDENT)
    return train.load_examples(write(rows, path), renderer, 512, "t.jsonl")


@pytest.fixture(scope="module")
def fit(student_folder, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """`fit(weights, packing=True)`: the bytes of the trained weights, and the loss of each update; trained once."""
    folder, tmp_path = student_folder("llama"), tmp_path_factory.mktemp("fit")
    plain = examples(folder, ROWS, tmp_path / "t.jsonl")

    @functools.cache
    def call(weights: tuple[float, ...] | None, **changes: object) -> tuple[bytes, list[float]]:
        data = dataclasses.replace(plain, weights=weights)
        settings = params.Train.model_validate(SETTINGS.model_dump(exclude_none=True) | changes)
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        fit_student(Job(StudentSource(files_in(folder), STUDENT), settings, data, 0, out))
        curve = [json.loads(line)["loss"] for line in (out / "curve.jsonl").read_text().splitlines()]
        return (out / "model.safetensors").read_bytes(), curve

    return call


@pytest.mark.parametrize("changes", [{}, {"packing": True}, {"micro_batch": 2}], ids=str)
def test_weights_of_one_are_plain_training_byte_for_byte(fit: Fit, changes):
    assert fit((1.0,) * 4, **changes) == fit(None, **changes)


def test_only_how_weights_compare_matters(fit: Fit):
    assert fit((2.0, 1.0, 1.0, 4.0)) == fit((0.5, 0.25, 0.25, 1.0)) != fit(None)


@pytest.mark.parametrize("changes", [{}, {"packing": True}, {"micro_batch": 1}], ids=str)
def test_the_loss_is_the_weighted_mean_over_response_tokens(fit: Fit, student_folder, tmp_path: Path, changes):
    weights = (3.0, 0.5, 1.0, 0.25)
    _, curve = fit(weights, **changes)
    folder = student_folder("llama")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    total = n = 0.0
    for (prompt, completion), weight in zip(examples(folder, ROWS, tmp_path / "u.jsonl").ids, weights, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1].double()
        surprisal = -torch.log_softmax(logits, -1).gather(1, torch.tensor(completion)[:, None]).sum()
        total, n = total + weight * float(surprisal), n + weight * len(completion)
    # The first update shows all four, before any weight of the model has moved.
    assert curve[0] == pytest.approx(total / n, rel=1e-4)


def test_a_trace_of_nearly_no_weight_moves_nearly_nothing(fit: Fit, student_folder, tmp_path: Path):
    """The other three alone, shown in the same updates, give nearly the same student."""
    with_it, _ = fit((1.0, 1e-9, 1.0, 1.0))
    plain, _ = fit(None)
    load = {}
    for name, content in (("with", with_it), ("plain", plain)):
        (tmp_path / name).write_bytes(content)
        load[name] = load_file(tmp_path / name)
    folder = student_folder("llama")
    alone = examples(folder, [r for i, r in enumerate(ROWS) if i != 1], tmp_path / "v.jsonl")
    settings = SETTINGS.model_copy(update={"batch_size": 3})
    fit_student(Job(StudentSource(files_in(folder), STUDENT), settings, alone, 0, tmp_path / "alone"))
    three = load_file(tmp_path / "alone" / "model.safetensors")

    def gap(other: dict[str, torch.Tensor]) -> float:
        return max(float((three[k] - other[k]).abs().max()) for k in three)

    assert gap(load["with"]) < gap(load["plain"]) / 20


def test_weights_come_from_the_set_and_equal_ones_are_none(student_folder, tmp_path: Path):
    folder = student_folder("llama")
    heavy = examples(folder, [r | {"weight": w} for r, w in zip(ROWS, (1, 0.5, 0.5, 0), strict=True)], tmp_path / "a")
    assert heavy.weights == (1, 0.5, 0.5) and len(heavy.ids) == 3
    assert heavy.rejected.select("trace_id", "reason").rows() == [("t3", "no_weight")]
    plain = examples(folder, ROWS, tmp_path / "b")
    level = examples(folder, [r | {"weight": 1 / 3} for r in ROWS], tmp_path / "c")
    assert plain.weights is None and level.weights is None
    # A student that was trained before is not trained again.
    assert key_parts("s", level, SETTINGS, 0) == key_parts("s", plain, SETTINGS, 0)
    other = dataclasses.replace(heavy, weights=(1, 0.5, 0.25))
    assert len({heavy.digest, other.digest, dataclasses.replace(heavy, weights=None).digest}) == 3


def test_ids_without_weights_have_the_digest_that_they_had():
    """By hand: lengths and ids as 64-bit numbers, nothing of weights. Another digest would train every student anew."""
    data = train.Examples([([1, 2], [3]), ([4], [5, 6])], pl.DataFrame(schema=tables.REJECTED.schema))
    content = struct.pack("<10q", 2, 1, 2, 1, 3, 1, 4, 2, 5, 6)
    assert data.digest == hashlib.sha256(content).hexdigest()
    heavy = dataclasses.replace(data, weights=(0.5, 1.0))
    assert heavy.digest == hashlib.sha256(content + struct.pack("<2d", 0.5, 1.0)).hexdigest()


@pytest.mark.parametrize("weight", [-1, "1", None, [1]])
def test_a_weight_that_is_none_is_an_error(weight, student_folder, tmp_path: Path):
    with pytest.raises(TrainingError, match="line 2 holds no prompt with an assistant's answer"):
        examples(student_folder("llama"), [ROWS[0], ROWS[1] | {"weight": weight}], tmp_path / "t.jsonl")


def test_a_job_on_disk_keeps_weights(student_folder, tmp_path: Path):
    folder = student_folder("llama")
    data = examples(folder, ROWS, tmp_path / "t.jsonl")
    for weights in (None, (0.5, 1.0, 2.0, 0.25)):
        source = StudentSource(files_in(folder), STUDENT)
        Job(source, SETTINGS, dataclasses.replace(data, weights=weights), 0, tmp_path).write(tmp_path)
        again = Job.read(tmp_path).examples
        assert (again.weights, [tuple(map(list, pair)) for pair in again.ids]) == (weights, data.ids)


def test_mean_one_by_hand():
    assert mean_one([1.0, 3.0]) == [0.5, 1.5]
    assert mean_one([1.0] * 7) == [1.0] * 7
