"""The decoder of our own against the float64 reference, when it is used, and what is found out while loading."""

import copy
import re

import numpy as np
import pytest
import torch
from transformers import AutoConfig

from helpers import reference
from helpers.engine_checks import TOLERANCE, largest_difference
from stepsift import params
from stepsift.core.errors import ScoringError
from stepsift.score.forward import own as module
from stepsift.score.forward import products
from stepsift.score.forward.attention import Padded, Segments
from stepsift.score.forward.own import OwnEngine, decoder_used, in_float32, make_engine
from stepsift.score.forward.packed import PackedEngine
from stepsift.score.forward.pieces import LayerPieces, compiler, gated_silu, joined
from stepsift.score.forward.products import BFLOAT16, FLOAT32, ROUNDED
from stepsift.score.forward.request import Request
from stepsift.score.forward.unmasked import Unmasked
from stepsift.score.forward.windows import Pass

FAMILIES = ("llama", "qwen2", "qwen3", "gemma3_text")
PLAIN = LayerPieces()
OWN = params.Score(decoder="own")


def engine_of(student, budget: int) -> OwnEngine:
    # The engine makes the model's weights views of its own.
    return OwnEngine(copy.deepcopy(student.model), budget, PLAIN)


@pytest.mark.parametrize("family", FAMILIES)
def test_own_decoder_agrees_with_the_reference(load_student, family: str):
    """Windows and the whole context, in chunks and at once, alone and beside a trace of another prompt."""
    student = load_student(family)
    case = student.case
    ids = case.rendered.prompt_ids, case.rendered.response_ids
    assert len(ids[0]) > 16  # longer than the sliding windows
    short = Request([7], [5, 6, 9], [Pass(0, 0, 2), Pass(1, 2, 3)], full=False)
    alone = [reference.full(student.exact, [7], [5, 6]), reference.full(student.exact, [7, 6], [9])]
    whole, worst = reference.full(student.exact, *ids), {}
    for budget, window in ((60, 4), (4_096, 0.25)):
        engine = engine_of(student, budget)
        request = Request(*ids, case.passes(window), full=True)
        expected = reference.local(student.exact, *ids, case.rendered.last_char, case.spans, window)
        for requests in ([request], [short, request]):
            scores = engine.score_many(requests)[-1]
            worst[budget, len(requests)] = largest_difference(scores.local, expected)
            worst[budget, len(requests), "full"] = largest_difference(scores.full, whole)
        (small,) = engine.score_many([short])
        assert np.abs(small.local.logprob - [t.logprob for part in alone for t in part]).max() < TOLERANCE
        assert not engine._kept  # keys and values of the last call
    assert max(worst.values()) < TOLERANCE, worst


@pytest.mark.parametrize(("way", "share"), [(FLOAT32, None), (BFLOAT16, 0.75), (ROUNDED, 0.75)])
def test_bfloat16_is_nearer_than_that_of_the_model_itself(load_student, monkeypatch, way: str, share: float | None):
    """With float32 products (exact but for the weights), with activations rounded, and with results rounded too."""
    if way == BFLOAT16 and products._gemm() is None:
        pytest.skip("this build of torch has no product of bfloat16 matrices with float32 results")
    monkeypatch.setattr(products, "bfloat16_here", lambda: way)
    rounded = load_student("llama", "plain", "bfloat16").model
    case = load_student("llama").case
    request = Request(case.rendered.prompt_ids, case.rendered.response_ids, case.passes(4), full=True)
    exact = PackedEngine(copy.deepcopy(rounded).float(), 4_096).score_many([request])[0]
    packed = PackedEngine(rounded, 4_096).score_many([request])[0]
    ours = OwnEngine(copy.deepcopy(rounded), 100, PLAIN).score_many([request])[0]

    def error(scores) -> float:
        columns = ((scores.local, exact.local), (scores.full, exact.full))
        return max(float(np.abs(x.logprob - y.logprob).mean()) for x, y in columns)

    assert error(ours) < (1e-4 if share is None else share * error(packed))


def test_weights_are_those_of_the_model(load_student):
    """Merged, not doubled; and the model still gives what it gave."""
    model = copy.deepcopy(load_student("qwen2").model)
    row = torch.arange(1, 9)[None]
    before = model(input_ids=row).logits
    OwnEngine(model, 64, PLAIN)
    attention = model.model.layers[0].self_attn
    assert attention.q_proj.weight.data_ptr() != attention.k_proj.weight.data_ptr()
    storages = {x.weight.untyped_storage().data_ptr() for x in (attention.q_proj, attention.k_proj, attention.v_proj)}
    assert len(storages) == 1
    assert torch.equal(model(input_ids=row).logits, before)


@pytest.mark.parametrize("window", [None, 9])
def test_attention_in_two_parts_is_attention(window: int | None):
    """Segments of several lengths and prompts, against rows with a mask."""
    generator = torch.Generator().manual_seed(0)
    segments = Segments(np.array([5, 5, 3, 3, 1]), np.array([6, 2, 2, 0, 6]), np.array([2, 0, 0, 8, 2]), n_kept=8)
    query, key, value = (torch.randn(n, heads, 8, generator=generator) for n, heads in ((17, 4), (25, 2), (25, 2)))
    both = Unmasked(segments, 2**20, joined)(query, (key[8:], value[8:]), (key[:8], value[:8]), 0.4, window)
    expected = Padded(segments, torch.device("cpu"), 2**20)(query, key, value, 0.4, window, None)
    torch.testing.assert_close(both, expected)


def test_parts_are_joined_by_their_log_sums():
    """By hand: weights of sum 1 and 3 give a quarter and three quarters."""
    one, two = torch.tensor([[[4.0, 0.0]]]), torch.tensor([[[0.0, 8.0]]])
    out = joined(one, torch.zeros(1, 1), two, torch.tensor([[3.0]]).log())
    torch.testing.assert_close(out, torch.tensor([[[1.0, 6.0]]]))


def config_of(family: str, **changes):
    return AutoConfig.for_model(family, **{"hidden_size": 32, "num_attention_heads": 4} | changes)


@pytest.mark.parametrize(
    ("family", "changes", "settings", "device", "used"),
    [
        *((family, {}, {}, "cpu", True) for family in FAMILIES),
        ("llama", {}, {"dtype": "bfloat16"}, "cpu", True),
        ("llama", {}, {"dtype": "float16"}, "cpu", False),
        ("llama", {}, {"decoder": "model"}, "cpu", False),
        ("llama", {}, {}, "cuda", False),
        ("llama", {"hidden_act": "gelu"}, {}, "cpu", False),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, {}, "cpu", False),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}, {}, "cpu", False),
        ("gemma3_text", {"use_bidirectional_attention": True}, {}, "cpu", False),
        *((family, {}, {}, "cpu", False) for family in ("mistral", "gemma2", "gpt2", "mamba")),
    ],
)
def test_when_it_is_used(monkeypatch, family: str, changes: dict, settings: dict, device: str, used: bool):
    monkeypatch.setattr(module, "compiler", lambda: "g++ 1.2.3")
    monkeypatch.setattr(products, "bfloat16_here", lambda: FLOAT32)
    name = decoder_used(config_of(family, **changes), OWN.model_copy(update=settings), device)
    assert name == (f"own {module.VERSION}, g++ 1.2.3, float32 products" if used else None)


def test_products_that_round_are_named(monkeypatch):
    monkeypatch.setattr(module, "compiler", lambda: "g++ 1.2.3")
    for here in (FLOAT32, BFLOAT16, ROUNDED):
        monkeypatch.setattr(products, "bfloat16_here", lambda here=here: here)
        for dtype, way in (("float32", FLOAT32), ("bfloat16", here)):
            name = decoder_used(config_of("llama"), params.Score(decoder="own", dtype=dtype), "cpu")
            assert name is not None and name.endswith(f"g++ 1.2.3, {way} products")


@pytest.mark.parametrize(
    ("units", "has_gemm", "way"),
    [
        ({"amx_bf16", "avx512_bf16"}, True, BFLOAT16),
        ({"amx_bf16", "avx512_bf16"}, False, ROUNDED),
        ({"avx512_bf16"}, True, ROUNDED),
        ({"sve_bf16"}, False, ROUNDED),
        ({"avx512_f"}, True, FLOAT32),
    ],
)
def test_how_bfloat16_is_multiplied_is_what_the_processor_has_units_for(
    monkeypatch, units: set[str], has_gemm: bool, way: str
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(units, True))
    monkeypatch.setattr(products, "_gemm", lambda: object() if has_gemm else None)
    assert products.way(torch.bfloat16) == way
    assert products.way(torch.float32) == FLOAT32
    layer = torch.nn.Linear(2, 3, dtype=torch.bfloat16)
    assert products.logits_of(layer) is (products.narrow if way == BFLOAT16 else products.widened)


def test_without_a_compiler_the_model_itself_is_used(load_student, monkeypatch, caplog):
    monkeypatch.setattr(module, "compiler", lambda: None)
    model = load_student("llama").model
    assert type(make_engine(model, OWN, "cpu", 64)).__name__ == "Engine"
    assert type(make_engine(model, OWN.model_copy(update={"batching": "packed"}), "cpu", 64)) is PackedEngine
    assert "there is no C++ compiler here" in caplog.text


def test_loading_says_that_it_compiles(load_student, monkeypatch, caplog):
    monkeypatch.setattr(module, "compiler", lambda: "g++ 1.2.3")
    monkeypatch.setattr(LayerPieces, "compiled", classmethod(lambda cls: PLAIN))
    model = copy.deepcopy(load_student("gemma3_text", "plain", "bfloat16").model)
    with caplog.at_level("INFO", "stepsift"):
        engine = make_engine(model, OWN.model_copy(update={"dtype": "bfloat16"}), "cpu", 64)
    assert isinstance(engine, OwnEngine)
    assert "compiling the decoder with g++ 1.2.3, which takes a minute or two the first time" in caplog.text
    assert re.search(r"compiled in \d+ s", caplog.text)


class Doubled(torch.nn.Module):
    """What a family may do that its configuration does not tell."""

    def __init__(self, inner: torch.nn.Module):
        super().__init__()
        self.inner, self.weight = inner, inner.weight

    def forward(self, x):
        return 2 * self.inner(x)


@pytest.mark.parametrize(("dtype", "way"), [("float32", FLOAT32), ("bfloat16", FLOAT32), ("bfloat16", ROUNDED)])
def test_another_arithmetic_is_found_out(load_student, monkeypatch, dtype: str, way: str):
    monkeypatch.setattr(products, "bfloat16_here", lambda: way)
    model = copy.deepcopy(load_student("llama", "plain", dtype).model)
    model.model.layers[1].post_attention_layernorm = Doubled(model.model.layers[1].post_attention_layernorm)
    with pytest.raises(ScoringError, match=r"by the decoder of ours: .* differs .*; set score\.decoder: model"):
        OwnEngine(model, 64, PLAIN)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_widened_weights_are_put_back(load_student, family: str):
    model = copy.deepcopy(load_student(family, "plain", "bfloat16").model)
    row = torch.arange(1, 9)[None]
    before = model(input_ids=row).logits
    with in_float32(model.model):
        assert model.model(input_ids=row).last_hidden_state.dtype == torch.float32
    assert torch.equal(model(input_ids=row).logits, before)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.system
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")
def test_a_compiled_piece_gives_what_the_plain_one_gives():
    compiled = torch.compile(gated_silu, dynamic=True)
    for rows in (5, 33):
        x = torch.linspace(-4, 4, rows * 48).view(rows, 48)
        torch.testing.assert_close(compiled(x), gated_silu(x))


def test_compiler_is_the_one_that_torch_would_call(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    compiler.cache_clear()
    assert compiler() is None
    compiler.cache_clear()
