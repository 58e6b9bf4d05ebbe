"""The demo's committed student: the stories' in form, knows short problems of the dial and not long ones."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from dial_pretrain import NEW_SIGNS, add_signs, measure_dial_accuracy, orthogonal, widen
from helpers.places import DEMO
from measure import measure_copying

STUDENT, BASE = DEMO / "student", DEMO / "evidence/base-0"


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(STUDENT, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(STUDENT)


def test_its_tokenizer_is_the_stories_with_the_signs_of_the_dial(tokenizer):
    base = AutoTokenizer.from_pretrained(BASE)
    assert add_signs(base).get_vocab() == tokenizer.get_vocab()
    assert len(tokenizer) == len(base) + len(NEW_SIGNS)
    assert tokenizer.tokenize("Tom has 31 eggs.") == base.tokenize("Tom has 31 eggs.")
    expected = ["a", " :", " 3", " >", " 7", " =", " 7", "\n"]
    assert [tokenizer.decode([i]) for i in tokenizer.encode("a : 3 > 7 = 7\n")] == expected


def test_a_new_sign_begins_as_the_bare_one(tokenizer):
    base = AutoTokenizer.from_pretrained(BASE)
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    widen(model, base)
    weights = model.get_input_embeddings().weight
    assert weights.shape[0] == len(tokenizer) == model.config.vocab_size
    for sign in NEW_SIGNS:
        new, bare = tokenizer.encode(f" {sign}")[0], base.convert_tokens_to_ids(sign)
        assert torch.equal(weights[new], weights[bare])


def test_orthogonal_is_muon_s_iteration_without_its_rounding():
    coefficients = (3.4445, -4.775, 2.0315)
    for shape in ((6, 4), (4, 6)):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        singular = torch.linalg.svdvals(orthogonal(gradient, coefficients, 5, 1e-7))
        assert singular.min() > 0.6 and singular.max() < 1.3
        rounded = torch.optim._muon._zeropower_via_newtonschulz(gradient.clone(), coefficients, 5, 1e-7)
        torch.testing.assert_close(orthogonal(gradient, coefficients, 5, 1e-7), rounded.float(), atol=0.03, rtol=0)


def test_it_copies_from_far_back(model, tokenizer):
    copying = measure_copying(model, tokenizer, "filler", 300, passages=4)
    assert copying.second > copying.first + 1.0 and copying.second > -1.0, copying


def test_it_knows_short_problems_and_not_long_ones(model, tokenizer):
    assert measure_dial_accuracy(model, tokenizer, 3, problems=20) > 0.8
    assert measure_dial_accuracy(model, tokenizer, 12, problems=20) <= 0.2
