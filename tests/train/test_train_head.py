"""The head that is multiplied for labelled tokens alone, beside torch's own operations and beside TRL's training."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from helpers.training import STUDENT, files_in, row, write
from stepsift import params
from stepsift.student import StudentSource
from stepsift.train import head
from stepsift.train.examples import load_examples
from stepsift.train.fit import fit_student
from stepsift.train.launch import Job
from stepsift.train.run import key_parts

ROWS = [
    row(f"{i} + {i} ?", answer, i) for i, answer in enumerate(("It is 5.", "7", "42 and a good deal more of it", "9"))
]
MIXED = params.Train(epochs=2, batch_size=2, learning_rate=1e-3, dtype="mixed")


def with_gradients(logprobs: Callable[..., torch.Tensor], *inputs: torch.Tensor | None) -> list[torch.Tensor]:
    """Values, and the gradients of a weighted sum of them by each input."""
    own = [None if x is None else x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    values = logprobs(*own)
    (values * torch.linspace(0.2, 1, len(values))).sum().backward()
    return [values.detach(), *(x.grad for x in own if x is not None and x.grad is not None)]


def plain(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor) -> torch.Tensor:
    logits = torch.nn.functional.linear(hidden, weight, bias)
    return logits.log_softmax(1).gather(1, targets[:, None])[:, 0]


@pytest.mark.parametrize(
    ("tile", "kept"), [(2**28, 2**30), (7 * 200, 2**30), (7 * 200, 0)], ids=["at once", "in parts", "anew"]
)
@pytest.mark.parametrize("has_bias", [True, False])
def test_values_and_gradients_are_those_of_torch_but_for_rounding(tile, kept, has_bias, monkeypatch):
    monkeypatch.setattr(head, "TILE_BYTES", tile)
    monkeypatch.setattr(head, "KEPT_BYTES", kept)
    draw = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(20, 16, generator=draw), torch.randn(50, 16, generator=draw) / 4
    bias = torch.randn(50, generator=draw) / 4 if has_bias else None
    inputs = hidden, weight, bias, torch.randint(0, 50, (20,), generator=draw)
    right, seen = with_gradients(plain, *inputs), with_gradients(head.LabelLogprobs.apply, *inputs)
    assert len(right) == len(seen) == (4 if has_bias else 3)
    for one, other in zip(right, seen, strict=True):
        assert other.dtype == torch.float32
        # bfloat16 has 8 bits: a rounding is within 2^-9 of a number, and sums of a few roundings within some of them.
        assert (one - other).abs().max() <= 3 * 2**-9 * one.abs().max()


def test_tokens_without_a_label_have_no_part_in_it(student_folder):
    model = AutoModelForCausalLM.from_pretrained(student_folder("llama"))
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    labels = torch.tensor([[-100, -100, 7, 8], [-100, -100, -100, -100]])
    with torch.autocast("cpu", torch.bfloat16):
        values = head.label_logprobs(model, {"input_ids": ids, "attention_mask": mask}, labels, -100)
        logits = model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1).detach()
    expected = torch.tensor([[0, logits[0, 1, 7], logits[0, 2, 8]], [0, 0, 0]])
    assert torch.allclose(values, expected, atol=1e-4)
    assert values[1].eq(0).all() and values[0, 0] == 0
    with torch.autocast("cpu", torch.bfloat16):
        nothing = head.label_logprobs(model, {"input_ids": ids}, torch.full_like(ids, -100), -100).sum()
    nothing.backward()
    assert nothing == 0


def test_other_heads_are_left_to_the_library(student_folder):
    model = AutoModelForCausalLM.from_pretrained(student_folder("llama"))
    assert head.fits(model)
    model.config.final_logit_softcapping = 30.0
    assert not head.fits(model)
    model.config.final_logit_softcapping = None
    model.config.output_router_logits = True  # a mixture of experts, whose routers have a loss of their own
    assert not head.fits(model)
    model.config.output_router_logits = False
    assert head.fits(model)
    assert not head.fits(model.to(torch.bfloat16))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"packing": True},
        {"micro_batch": 1},
        {"gradient_checkpointing": True},
        {"lora": {"rank": 2}},
        {"early_stop": {"share": 0.25, "every": 1, "patience": 9}},
    ],
    ids=str,
)
@pytest.mark.parametrize("weights", [None, (2.0, 1.0, 0.5, 0.5)], ids=["plain", "weighted"])
def test_a_training_learns_what_trl_s_learns(student_folder, tmp_path: Path, monkeypatch, changes, weights):
    source = StudentSource(files_in(student_folder("llama")), STUDENT)
    settings = params.Train.model_validate(MIXED.model_dump(exclude_none=True) | changes)
    data = load_examples(write(ROWS, tmp_path / "t.jsonl"), source.load_renderer(), 512, "t")
    data = dataclasses.replace(data, weights=weights)

    def curve(name: str) -> list[Any]:
        fit_student(Job(source, settings, data, 0, tmp_path / name))
        held_out = json.loads((tmp_path / name / "training.json").read_text())["held_out_loss"]
        assert (held_out is not None) == ("early_stop" in changes)
        return [held_out or 0.0] + [
            json.loads(line)["loss"] for line in (tmp_path / name / "curve.jsonl").read_text().splitlines()
        ]

    own = curve("own")
    monkeypatch.setattr(head, "fits", lambda _: False)
    right = curve("trl")
    assert own != right
    assert own == pytest.approx(right, rel=0.01)


@pytest.mark.parametrize(("dtype", "has"), [("mixed", True), ("float32", False), ("bfloat16", False)])
def test_only_students_that_it_may_train_have_another_key(student_folder, tmp_path: Path, dtype, has):
    source = StudentSource(files_in(student_folder("llama")), STUDENT)
    data = load_examples(write(ROWS, tmp_path / "t.jsonl"), source.load_renderer(), 512, "t")
    parts = key_parts("origin", data, MIXED.model_copy(update={"dtype": dtype}), 0)
    assert ("head" in parts) == has
