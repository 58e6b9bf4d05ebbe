"""What scores may depend on, and the choices of a machine."""

import copy

import pytest
import torch

from stepsift import params
from stepsift.score.forward import numerics as module
from stepsift.score.forward.engine import Engine
from stepsift.score.forward.numerics import (
    batch_tokens,
    batching,
    describe_numerics,
    onednn_linear,
    prepare,
    products,
    uses_onednn,
)
from stepsift.score.forward.request import Request
from stepsift.score.identity import of_student


def test_choices_of_a_device():
    assert (batching(params.Score(), "cpu"), batching(params.Score(), "cuda")) == ("trace", "packed")
    assert batching(params.Score(batching="packed"), "cpu") == "packed"
    assert (batch_tokens(params.Score(), "cpu"), batch_tokens(params.Score(), "cuda")) == (512, 32_768)
    assert batch_tokens(params.Score(batch_tokens=777), "cuda") == 777


@pytest.mark.parametrize(
    ("settings", "device", "intel", "chosen"),
    [
        ({}, "cpu", True, "native"),
        ({}, "cpu", False, "onednn"),
        ({"products": "native"}, "cpu", False, "native"),
        ({"products": "onednn"}, "cpu", True, "onednn"),
        ({"products": "onednn", "dtype": "bfloat16"}, "cpu", True, "native"),
        ({"products": "onednn"}, "cuda", True, "native"),
    ],
)
def test_who_multiplies(monkeypatch, settings: dict, device: str, intel: bool, chosen: str):
    monkeypatch.setattr(module, "_made_by_intel", lambda: intel)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert products(params.Score(**settings), device) == chosen


def test_small_layers_are_not_onednns(monkeypatch):
    monkeypatch.setattr(module, "_made_by_intel", lambda: False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    auto = params.Score()
    sizes = [(9_999_999, "native"), (10_000_000, "onednn"), (None, "onednn")]
    assert [products(of_student(auto, n), "cpu") for n, _ in sizes] == [chosen for _, chosen in sizes]
    assert products(of_student(params.Score(products="onednn"), 5), "cpu") == "onednn"


def test_everything_that_moves_a_score_is_in_numerics():
    base = describe_numerics(params.Score(), "cpu")
    for change in ({"dtype": "bfloat16"}, {"batching": "packed"}, {"batch_tokens": 99}):
        assert describe_numerics(params.Score(**change), "cpu") != base
    assert describe_numerics(params.Score(), "cuda") != base
    assert set(base) == {
        "engine", "device", "dtype", "batching", "batch_tokens", "products", "threads", "torch", "transformers",
    }  # fmt: skip
    one, two = (describe_numerics(params.Score(products=p), "cpu") for p in ("native", "onednn"))
    assert one != two
    # Threads move the last bits of large products.
    assert describe_numerics(params.Score(engine="ray"), "cpu")["threads"] == 1
    assert describe_numerics(params.Score(workers=3), "cuda")["threads"] == 0
    # Windows and passes are in the keys; how many work, and where, must not matter.
    same = {"window": 2, "passes": ("full",), "prompts": 5, "max_step_tokens": 99, "seed": 4}
    assert describe_numerics(params.Score(**same), "cpu") == base
    assert base["torch"] == torch.__version__


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")
def test_onednn_gives_the_same_scores(load_student):
    case = load_student("qwen2").case
    request = Request(case.rendered.prompt_ids, case.rendered.response_ids, case.passes(4), full=True)
    expected = Engine(load_student("qwen2").model, 64).score(request)
    model = copy.deepcopy(load_student("qwen2").model)
    prepare(model, params.Score(products="onednn"), "cpu")
    assert sum(uses_onednn(m) for m in model.modules()) > 10
    engine = Engine(model, 64)
    assert engine.head.onednn
    scores = engine.score(request)
    for ours, theirs in ((scores.local, expected.local), (scores.full, expected.full)):
        assert abs(ours.logprob - theirs.logprob).max() < 1e-4


def test_onednn_linear_is_linear():
    x, weight, bias = torch.randn(2, 5, 8), torch.randn(3, 8), torch.randn(3)
    torch.testing.assert_close(onednn_linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    torch.testing.assert_close(onednn_linear(x, weight), torch.nn.functional.linear(x, weight))


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gemma3_text", "cohere"])
def test_norms_in_one_operation_give_the_same_scores(load_student, family: str):
    student = load_student(family)
    request = Request(student.case.rendered.prompt_ids, student.case.rendered.response_ids, [], full=True)
    model = copy.deepcopy(student.model)
    for parameter in model.parameters():  # norms are made with weights that are all alike
        parameter.data += 0.1 * torch.linspace(-1, 1, parameter.numel()).view(parameter.shape)
    expected = Engine(model, 64).score(request).full.logprob
    prepare(model, params.Score(products="native"), "cpu")
    fused = sum(getattr(m.forward, "func", None) is torch.nn.functional.rms_norm for m in model.modules())
    assert fused == sum(type(m).__name__.endswith("RMSNorm") for m in model.modules())
    assert (fused > 0) is (family != "cohere")  # whose norms are of another kind
    assert abs(Engine(model, 64).score(request).full.logprob - expected).max() < 1e-4


def test_other_precisions_are_left_alone(load_student):
    model = copy.deepcopy(load_student("llama").model)
    prepare(model, params.Score(dtype="bfloat16", products="onednn"), "cpu")
    assert not any(hasattr(m.forward, "func") for m in model.modules())
