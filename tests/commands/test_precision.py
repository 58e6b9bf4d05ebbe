"""The sentence on bfloat16 where a processor has no instructions for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stepsift import params, student
from stepsift.commands import precision
from stepsift.commands.precision import check_precision
from stepsift.score.forward import own, products

NONE, AMX, AVX, ARM = {"avx2": True}, {"amx_bf16": True}, {"avx512_bf16": True, "amx_bf16": False}, {"bf16": True}


def of_a_processor(monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool]) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def warnings_of(folder: Path, **sections: dict[str, str]) -> list[str]:
    settings = params.parse({"student": {"path": str(folder)}, **sections})
    return [*check_precision(settings, student.find(settings.student)).warnings]


@pytest.mark.parametrize(("capabilities", "has"), [(NONE, False), ({}, False), (AMX, True), (AVX, True), (ARM, True)])
def test_which_processors_have_units(monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], has: bool) -> None:
    of_a_processor(monkeypatch, capabilities)
    assert products.has_bfloat16_units() is has


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({}, None),
        ({"score": {"dtype": "bfloat16"}}, "score.dtype asks"),
        ({"score": {"dtype": "bfloat16", "device": "cpu"}}, "score.dtype asks"),
        # Not this machine's, whose run it is then is not known.
        ({"score": {"dtype": "bfloat16", "device": "cuda"}}, None),
        ({"score": {"dtype": "float16"}}, None),
        ({"train": {"dtype": "mixed"}}, "train.dtype asks"),
        ({"evaluate": {"dtype": "bfloat16"}}, "evaluate.dtype asks"),
        ({"evaluate": {"dtype": "bfloat16", "engine": "vllm"}}, None),
        (
            {key: {"dtype": "bfloat16"} for key in ("score", "train", "evaluate")},
            "score.dtype, train.dtype, evaluate.dtype ask",
        ),
    ],
)
def test_what_is_slow_is_named_once(
    student_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    sections: dict[str, dict[str, str]],
    named: str | None,
) -> None:
    folder = student_folder("llama")
    of_a_processor(monkeypatch, NONE)
    said = warnings_of(folder, **sections)
    assert [line.partition(" for products")[0] for line in said] == ([named] if named else [])
    of_a_processor(monkeypatch, AVX)
    assert warnings_of(folder, **sections) == []


def test_the_decoder_of_ours_widens_weights_instead(
    student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_a_processor(monkeypatch, NONE)
    monkeypatch.setattr(own, "compiler", lambda: "g++ 1.2.3")
    score = {"dtype": "bfloat16", "decoder": "own"}
    assert warnings_of(student_folder("llama"), score=score) == []
    # Of another family the model's own code is used after all.
    assert len(warnings_of(student_folder("openai-gpt"), score=score)) == 1


def test_a_gpu_has_units(student_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    of_a_processor(monkeypatch, NONE)
    monkeypatch.setattr(precision.student, "pick_device", lambda setting: "cuda" if setting == "auto" else setting)
    keys = {key: {"dtype": "bfloat16"} for key in ("score", "train", "evaluate")}
    assert warnings_of(student_folder("llama"), **keys) == []
    assert len(warnings_of(student_folder("llama"), score={"dtype": "bfloat16", "device": "cpu"})) == 1
