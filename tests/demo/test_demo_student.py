"""The committed student of the story problems: stock, small, knows short ones, and copies from far back."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from helpers.places import DEMO
from measure import measure_accuracy, measure_copying, prompt_ids

STUDENT = DEMO / "evidence/base-0"
LARGEST_WEIGHTS_BYTES = 3_000_000
MOST_PARAMETERS = 1_000_000
LEAST_CONTEXT_TOKENS = 1024


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(STUDENT, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(STUDENT)


def test_stock_and_small(model):
    config = json.loads((STUDENT / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert "auto_map" not in config
    assert not list(STUDENT.glob("*.py"))
    assert model.num_parameters() < MOST_PARAMETERS
    assert model.config.max_position_embeddings >= LEAST_CONTEXT_TOKENS
    assert (STUDENT / "model.safetensors").stat().st_size < LARGEST_WEIGHTS_BYTES


def test_the_tokenizer_has_its_special_tokens_and_adds_none(tokenizer, model):
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert len(set(special)) == 3
    assert None not in special
    assert model.config.bos_token_id == tokenizer.bos_token_id
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert not set(special) & set(tokenizer.encode("Tom has 31 eggs."))
    assert tokenizer.chat_template is None
    assert prompt_ids(tokenizer, "Tom") == [tokenizer.bos_token_id, *tokenizer.encode("Tom\n")]


TEXTS = (
    "31 + 4 = 35\n#### 35",
    "⟨31 4 ⊕⟩ ⇒ 35",
    "  a\t\n\n b ",
    "漢字 \U0001f600 \u200b e\u0301",
    "<think>\nx\n</think>",
)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_stand_alone(tokenizer):
    assert [tokenizer.decode([i]) for i in tokenizer.encode("31 + 4")] == ["3", "1", " +", " 4"]


@pytest.mark.parametrize("distance", [100, 300])
@pytest.mark.parametrize("kind", ["random", "filler"])
def test_it_copies_from_far_back(model, tokenizer, kind, distance):
    copying = measure_copying(model, tokenizer, kind, distance, passages=4)
    assert copying.second > copying.first + 1.0, copying
    assert copying.second > -1.0, copying


def test_it_knows_short_problems_and_not_long_ones(model, tokenizer):
    assert measure_accuracy(model, tokenizer, 1, problems=50) > 0.8
    assert measure_accuracy(model, tokenizer, 5, problems=50) <= 0.1
