"""Tiny students that tests share: tokenizers trained on a few lines, random models of well-known families.

Nothing is downloaded. Chat templates are our own wording of the families' formats.
"""

import json
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerFast

CORPUS = [
    "Let x be the number of apples.\n\nThen 3x + 2 = 14, so x = 4.\n\nThe answer is \\boxed{4}.\n\n",
    "First, we add 12 and 30 to get 42. Next we divide by 6, which gives 7.\n",
    "Wait, that is not right. Let me check: 7 * 6 = 42. Yes!\n\nSo the final answer is 7.\n\n",
    "What is the sum of the first ten numbers? It is 55.\n\n1 + 2 + 3 + 4 = 10 and so on.\n",
    "café naïve résumé 日本語 の 文。 это ответ. 答案是 42。 🙂 👩‍🚀\n",
] * 4

LLAMA3_TEMPLATE = """{{- bos_token }}
{%- if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday is ' ~ date_string ~ '.\\n\\n<|eot_id|>' }}
{%- for m in messages %}
{{- '<|start_header_id|>' ~ m.role ~ '<|end_header_id|>\\n\\n' ~ m.content | trim ~ '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

QWEN2_TEMPLATE = """{%- if messages[0].role != 'system' %}
{{- '<|im_start|>system\\nYou are a careful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for m in messages %}{{- '<|im_start|>' ~ m.role ~ '\\n' ~ m.content ~ '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Opens the thinking for enable_thinking, closes it at once for its contrary, and forgets the thoughts of earlier turns.
QWEN3_TEMPLATE = """{%- for m in messages %}
{%- if m.role == 'assistant' %}{% set text = m.content.split('</think>')[-1].lstrip() %}
{%- else %}{% set text = m.content %}{% endif %}
{{- '<|im_start|>' ~ m.role ~ '\\n' ~ text ~ '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined %}{{- '<think>\\n' if enable_thinking else '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}"""

GEMMA_TEMPLATE = """{{- bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('this family knows no system role') }}{% endif %}
{%- for m in messages %}
{%- set role = 'model' if m.role == 'assistant' else m.role %}
{{- '<start_of_turn>' ~ role ~ '\\n' ~ m.content | trim ~ '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{% endif %}"""

# Channels, as gpt-oss writes them: reasoning of the last turn alone, and only where a message holds it apart.
CHANNELS_TEMPLATE = """{%- for m in messages %}
{%- if m.role == 'assistant' %}
{%- if m.thinking and loop.last %}
{{- '<|start|>assistant<|channel|>analysis<|message|>' ~ m.thinking ~ '<|end|>' }}
{%- endif %}
{{- '<|start|>assistant<|channel|>final<|message|>' ~ m.content }}
{{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}
{%- else %}{{- '<|start|>' ~ m.role ~ '<|message|>' ~ m.content ~ '<|end|>' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{% endif %}"""

# Letters with a leading blank, single digits, signs with the line ends behind them (".\n\n" is one piece), blanks.
PIECES = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
THINK = ("<think>", "</think>")


def _byte_level(special: list[str], trim_offsets: bool, nfc: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    return tokenizer


def _sentencepiece(special: list[str], prefix: bool) -> Tokenizer:
    """Blanks are '▁' inside the words (and before the text, where `prefix`); unknown characters are bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    scheme = "always" if prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)
    tokenizer.train_from_iterator(
        CORPUS[:4], trainers.BpeTrainer(vocab_size=240, special_tokens=["<unk>", *special], show_progress=False)
    )
    # The trainer knows no byte tokens; they are put into what it wrote.
    state = json.loads(tokenizer.to_str())
    vocab = state["model"]["vocab"]
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    state["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        + ([decoders.Strip(" ", 1, 0)] if prefix else [])
    )
    return tokenizer


def _adds_bos(tokenizer: Tokenizer, bos: str) -> None:
    template = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    own = [tokenizer.post_processor] if tokenizer.post_processor else []
    tokenizer.post_processor = processors.Sequence([*own, template])


def write_tokenizer(name: str, folder: Path) -> None:
    bos: str | None = None
    template = None
    if name == "llama3":
        bos, eos, template = "<|begin_of_text|>", "<|end_of_text|>", LLAMA3_TEMPLATE
        special = [bos, eos, "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        tokenizer = _byte_level(special, trim_offsets=True)
    elif name in ("qwen2", "qwen3", "nfc"):
        eos, template = "<|im_end|>", {"qwen2": QWEN2_TEMPLATE, "qwen3": QWEN3_TEMPLATE}.get(name)
        tokenizer = _byte_level(["<|im_start|>", eos, "<|endoftext|>"], trim_offsets=False, nfc=name == "nfc")
        tokenizer.add_tokens(list(THINK))
    elif name == "channels":
        eos, template = "<|return|>", CHANNELS_TEMPLATE
        special = [eos, "<|start|>", "<|end|>", "<|channel|>", "<|message|>", "<|endoftext|>"]
        tokenizer = _byte_level(special, trim_offsets=True)
    elif name in ("gemma", "metaspace"):
        bos, eos, template = "<bos>", "<eos>", GEMMA_TEMPLATE if name == "gemma" else None
        tokenizer = _sentencepiece([bos, eos, "<start_of_turn>", "<end_of_turn>"], prefix=name == "metaspace")
    elif name == "plain":
        eos = "<|endoftext|>"
        tokenizer = _byte_level([eos], trim_offsets=True)
    else:
        raise ValueError(f"no tokenizer {name}")
    if bos:
        _adds_bos(tokenizer, bos)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)
    wrapped.chat_template = template
    wrapped.save_pretrained(folder)


TOKENIZERS = ("llama3", "qwen2", "qwen3", "gemma", "channels", "metaspace", "nfc", "plain")
"""llama3, channels, plain: byte-level, offsets trimmed. qwen2, qwen3, nfc: not trimmed. gemma, metaspace: byte
fallback. metaspace, nfc and plain have no chat template; nfc normalises; only llama3, gemma and metaspace have a
beginning token."""

_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_SHAPE |= {"max_position_embeddings": 512, "initializer_range": 0.4}
_GEMMA = _SHAPE | {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8}
_ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]

FAMILIES: dict[str, dict] = {
    "llama": _SHAPE | {"tie_word_embeddings": False, "initializer_range": 0.3},
    "qwen2": _SHAPE | {"tie_word_embeddings": True, "initializer_range": 0.3},
    "qwen3": _SHAPE | {"head_dim": 8, "tie_word_embeddings": True},
    "gemma2": _GEMMA | {"final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0, "layer_types": _ALTERNATING},
    "gemma3_text": _GEMMA | {"layer_types": _ALTERNATING},
    "cohere": _SHAPE | {"logit_scale": 0.5},
    "granite": _SHAPE | {"logits_scaling": 3.0, "attention_multiplier": 0.35, "tie_word_embeddings": False},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 512, "initializer_range": 0.3},
    "openai-gpt": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 512, "initializer_range": 0.3},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "initializer_range": 0.4},
    "lfm2": _SHAPE | {"layer_types": ["conv", "full_attention", "conv"]},
    "qwen3_next": (_SHAPE | {"initializer_range": 0.2})
    | {"head_dim": 8, "layer_types": ["linear_attention", "full_attention"], "num_hidden_layers": 2}
    | {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
    | {"num_experts": 0},
}
"""Settings of tiny models by `model_type`; weights are large, so that distributions are far from uniform and every
earlier token matters. Sliding windows (16) are shorter than any prompt."""


def _write_model(family: str, vocabulary: int, folder: Path) -> None:
    config: PretrainedConfig = AutoConfig.for_model(
        family, vocab_size=vocabulary, bos_token_id=0, eos_token_id=1, pad_token_id=0, **FAMILIES[family]
    )
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(len(family))
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            # Biases and norms start at 0 or 1, where leaving one out would go unseen.
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)


def write_student(family: str, tokenizer: Path, folder: Path) -> None:
    """A random model of FAMILIES with the tokenizer that lies in another folder."""
    _write_model(family, len(PreTrainedTokenizerFast.from_pretrained(tokenizer)), folder)
    for file in tokenizer.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
