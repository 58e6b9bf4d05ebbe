"""Models with random weights in the shapes of known families."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SHAPES: dict[str, dict[str, Any]] = {
    "0.5B": {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
             "intermediate_size": 4_864, "vocab_size": 151_936, "tie_word_embeddings": True},
    "1.5B": {"hidden_size": 1_536, "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
             "intermediate_size": 8_960, "vocab_size": 151_936, "tie_word_embeddings": True},
    "7B": {"hidden_size": 3_584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
           "intermediate_size": 18_944, "vocab_size": 152_064, "tie_word_embeddings": False},
}  # fmt: skip
"""Qwen2.5's."""
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 128, "vocab_size": 512, "tie_word_embeddings": True}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3": {"head_dim": 16},
    "gemma3_text": {"head_dim": 16, "sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]},
}


def build(family: str, shape: dict[str, Any], dtype: torch.dtype, device: torch.device) -> Any:
    """A model on its device, the same at every call; its context has 16,384 tokens."""
    config = AutoConfig.for_model(family, **shape, max_position_embeddings=16_384)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            return AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    finally:
        torch.set_default_dtype(before)


def of_shape(name: str, device: torch.device) -> Any:
    """One of SHAPES, or `tiny`, in bfloat16."""
    return build("qwen2", TINY if name == "tiny" else SHAPES[name], torch.bfloat16, device)


def tiny(family: str, dtype: torch.dtype, device: torch.device) -> Any:
    """A small model of a family; larger weights than usual, so that rounding shows."""
    model = build(family, TINY | FAMILIES[family], torch.float32, device)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(3)
            # Numbers that bfloat16 holds, as those of published models: all precisions see the same weights.
            parameter.copy_(parameter.bfloat16().float())
    return model.to(dtype)
