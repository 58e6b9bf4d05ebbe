"""A student that is divided scores as one that is not: here over memory and disk, as elsewhere over GPUs and memory."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.score_cases import RESPONSE, make_case
from stepsift.placement import Memory, dispatch, map_layers
from stepsift.score.backends.local import model_size
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.masked import MaskedEngine
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.request import Request

pytestmark = pytest.mark.slow


def divided(model, folder: Path):
    """A copy whose layers lie on disk, but for those that a GPU with little room would keep; the rest is in memory."""
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    places = map_layers(model, "cpu_offload", Memory((int(1.1 * size),), 10**9))
    assert {0, "cpu"} <= set(places.values())
    on_disk = {name: "disk" if device == "cpu" else "cpu" for name, device in places.items()}
    return dispatch(copy.deepcopy(model), on_disk, "cpu", folder)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3_text", "gpt2"])
def test_a_divided_student_scores_as_an_undivided_one(load_student, family, tmp_path: Path):
    student = load_student(family)
    other = make_case(student.renderer, [{"role": "user", "content": "And 7 * 6?"}], RESPONSE)
    requests = [
        Request(c.rendered.prompt_ids, c.rendered.response_ids, c.passes(2), True) for c in (student.case, other)
    ]
    in_windows = [replace(r, full=False) for r in requests]
    model = divided(student.model, tmp_path)
    assert any(p.device.type == "meta" for p in model.parameters())
    assert model_size(model, 100) == model_size(student.model, 100)
    for make, work in ((Engine, requests), (PackedEngine, requests), (MaskedEngine, in_windows)):
        whole, parts = (make(m, 150) for m in (student.model, model))
        for request in work:
            one, two = (e.score(request) if make is Engine else e.score_many([request])[0] for e in (whole, parts))
            assert [(c == d).all() for c, d in zip(one.local.columns(), two.local.columns(), strict=True)] == [True] * 4
            if request.full:
                assert (one.full.logprob == two.full.logprob).all()
