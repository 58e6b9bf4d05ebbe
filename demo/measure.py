"""What a student of the demo can do: copy from far back, and solve problems of a given number of operations."""

import re
from dataclasses import dataclass
from random import Random

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpus import passage
from world import make_problem

GENERATED_TOKENS = 64


@dataclass(frozen=True)
class Copying:
    """Mean log-probability a token (nats) of a passage and of its repetition `distance` tokens later."""

    distance: int
    first: float
    second: float


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """The beginning-of-sequence token and the prompt with its newline, as the student was trained."""
    return [int(tokenizer.bos_token_id), *tokenizer.encode(f"{prompt}\n", add_special_tokens=False)]


@torch.no_grad()
def measure_copying(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, kind: str, distance: int, passages: int = 16
) -> Copying:
    """First and second pass over passages of `kind`: "random" (tokens drawn at random) or "filler" (lines of text).

    A passage of up to 60 tokens, other text of the same kind, and the passage again `distance` tokens after its start.
    """
    rng = Random(f"copying:{kind}:{distance}")
    n_tokens = min(60, distance)
    sums = [0.0, 0.0]
    for _ in range(passages):
        quoted, between = (_draw_ids(rng, tokenizer, kind, n) for n in (n_tokens, distance - n_tokens))
        ids = torch.tensor([[int(tokenizer.bos_token_id), *quoted, *between, *quoted]])
        logprobs = torch.log_softmax(model(ids).logits[0, :-1].float(), -1).gather(-1, ids[0, 1:, None])[:, 0]
        sums[0] += logprobs[:n_tokens].mean().item()
        sums[1] += logprobs[distance:].mean().item()
    return Copying(distance, sums[0] / passages, sums[1] / passages)


@torch.no_grad()
def measure_accuracy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, n_operations: int, problems: int = 200
) -> float:
    """Share of held-out problems of `n_operations` operations whose greedy answer is right."""
    right = 0
    drawn = [make_problem(f"measure:{n_operations}:{number}", (n_operations,)) for number in range(problems)]
    for at in range(0, problems, 50):
        batch = drawn[at : at + 50]
        rows = [prompt_ids(tokenizer, problem.prompt) for problem in batch]
        width = max(map(len, rows))
        pad = int(tokenizer.pad_token_id)
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        out = model.generate(ids, attention_mask=mask, max_new_tokens=GENERATED_TOKENS, do_sample=False)
        for problem, row in zip(batch, out, strict=True):
            found = re.search(r"#### (-?\d+)", tokenizer.decode(row[width:]))
            right += found is not None and int(found.group(1)) == problem.answer
    return right / problems


def _draw_ids(rng: Random, tokenizer: PreTrainedTokenizerBase, kind: str, n_tokens: int) -> list[int]:
    if kind == "random":
        return [rng.randrange(len(tokenizer.all_special_ids), len(tokenizer)) for _ in range(n_tokens)]
    return tokenizer.encode(passage(rng, n_tokens // 4 + 1), add_special_tokens=False)[:n_tokens]
