"""What scoring and training a large student would take, by hand."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from stepsift import params
from stepsift.commands.expected_work import (
    SCORING_RATE,
    TRAINING_RATE,
    bytes_per_parameter,
    dividing_processes,
    examples_shown,
    work_of,
)

FSDP = "distributed_type: FSDP\nnum_processes: 8\n"


def train(**keys: object) -> params.Train:
    return params.parse({"train": keys}).train


def test_operations_by_hand():
    # Two and six operations per parameter and token.
    work = work_of(7_000_000_000, 1_000.0, 100.0, train())
    assert (work.scoring, work.training) == (14e12, 4.2e12)
    # Weight, gradient and two moments in float32.
    assert (work.training_bytes, work.processes) == (112e9, 1)


def test_what_is_said(tmp_path: Path):
    (tmp_path / "fsdp.yaml").write_text(FSDP)
    settings = train(dtype="bfloat16", launch=str(tmp_path / "fsdp.yaml"))
    # 2.7e17 operations at 270e12 are 1,000 s; 3.6e18 at 100e12 are ten hours.
    lines = work_of(1_000_000_000, 135e6, 600e6, settings).lines(settings)
    assert lines == [
        "work        scoring the pool: 2.7e+17 operations, 17 min on one H200 at 270 Tflop/s",
        "            training a student: 3.6e+18 operations, 10 h 0 min on one H200 at 100 Tflop/s; both rates are "
        "those of arXiv 2601.14249, not measured here",
        "            training holds 8.0 GB of weights, gradients and moments, 1.0 GB on each of 8 GPUs "
        f"({tmp_path}/fsdp.yaml), and activations",
    ]


@pytest.mark.parametrize(
    ("keys", "n_bytes"),
    [
        ({"dtype": "float32"}, 16),
        ({"dtype": "mixed"}, 16),
        ({"dtype": "bfloat16"}, 8),
        ({"dtype": "mixed", "lora": {}}, 4),
        ({"dtype": "bfloat16", "lora": {}}, 2),
    ],
)
def test_memory_per_parameter(keys: dict[str, object], n_bytes: int):
    assert bytes_per_parameter(train(**keys)) == n_bytes


@pytest.mark.parametrize(
    ("text", "n"),
    [
        (FSDP, 8),
        ("distributed_type: DEEPSPEED\nnum_processes: 4\n", 4),
        # Each process of these holds the whole student.
        ("distributed_type: MULTI_GPU\nnum_processes: 8\n", 1),
        ("distributed_type: FSDP\n", 1),
        ("distributed_type: FSDP\nnum_processes: many\n", 1),
        ("- a list\n", 1),
        ("{", 1),
        (None, 1),
    ],
)
def test_who_divides_memory(text: str | None, n: int, tmp_path: Path):
    path = tmp_path / "launch.yaml"
    if text is not None:
        path.write_text(text)
    assert dividing_processes(train(launch=str(path))) == n


def test_examples_that_a_student_is_shown():
    assert examples_shown(train(epochs=15), 817) == 12_255
    assert examples_shown(train(budget={"examples": 500}), 817) == 500
    assert examples_shown(train(budget={"tokens": 500}), 817) is None


def test_the_rates_are_what_their_source_gives():
    scoring = 2 * 8.03e9 * 5_000 * 12_077.7 / 3_600
    training = 6 * 7.62e9 * 5_000 * 8_912 * 10 / (7 * 3_600 * 8)
    assert round(scoring, -13) == SCORING_RATE
    assert round(training, -13) == TRAINING_RATE


def test_it_can_be_written_as_json():
    assert json.loads(json.dumps(asdict(work_of(10**9, 1.0, 1.0, train()))))["processes"] == 1
