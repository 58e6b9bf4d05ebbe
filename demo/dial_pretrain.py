"""Builds the demo's student: the stories' one, which copies already, goes on with the dial's corpus.

    python demo/dial_pretrain.py --out demo/student        # 3,000 updates, twenty minutes on one core

Its tokenizer gets the dial's signs as tokens, which halves the length of a trace. While it trains, the weights are
saved every 200 updates.
"""

import argparse
import json
import re
import time
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from dial_corpus import DIAL_MIXTURE
from dial_world import LETTERS, make_dial_problem
from measure import measure_copying, prompt_ids
from pretrain import CONTEXT_TOKENS, SPECIAL, Course, Trainer, learn_corpus

BASE = Path(__file__).resolve().parent / "evidence/base-0"
MOST_TOKENS = 320
NEW_SIGNS = ":,><&()"
"""Signs that become tokens together with the space before them."""


def add_signs(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """The tokenizer with a merge more for each of NEW_SIGNS; other texts keep their tokens."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content["model"]
    for sign in NEW_SIGNS:
        model["vocab"]["Ġ" + sign] = len(model["vocab"])
        model["merges"].append(["Ġ", sign])
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        **SPECIAL,
    )


@torch.no_grad()
def widen(model: PreTrainedModel, before: PreTrainedTokenizerBase) -> None:
    """Embeddings for NEW_SIGNS, which begin as those of the bare signs."""
    size = model.config.vocab_size
    model.resize_token_embeddings(size + len(NEW_SIGNS), mean_resizing=False)
    weights = model.get_input_embeddings().weight
    for place, sign in enumerate(NEW_SIGNS):
        weights[size + place] = weights[before.convert_tokens_to_ids(sign)]


def orthogonal(grad: Tensor, ns_coefficients: tuple[float, float, float], ns_steps: int, eps: float) -> Tensor:
    """Muon's Newton-Schulz iteration (https://kellerjordan.github.io/posts/muon) in float32.

    torch has it in bfloat16, whose products take 25 times as long on a processor that has none.
    """
    a, b, c = ns_coefficients
    is_tall = grad.size(0) > grad.size(1)
    x = grad.T if is_tall else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


@torch.no_grad()
def measure_dial_accuracy(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, n_operations: int, problems: int = 60
) -> float:
    """Share of problems of `n_operations` operations, whose letters begin anywhere, whose greedy answer is right."""
    right = 0
    rng = Random(f"measure dial:{n_operations}")
    for _ in range(problems):
        first = rng.randint(0, len(LETTERS) - n_operations)
        problem = make_dial_problem(f"measure:{rng.getrandbits(64)}", (n_operations,), LETTERS[first:])
        ids = torch.tensor([prompt_ids(tokenizer, problem.prompt)])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=MOST_TOKENS, do_sample=False)
        answer = re.search(r"#### (\d+)", tokenizer.decode(out[0, ids.shape[1] :]))
        right += answer is not None and int(answer.group(1)) == problem.answer
    return right / problems


def main() -> None:
    """Trains, saves and measures."""
    parser = argparse.ArgumentParser(description="Build the demo's student from that of the story problems.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the student")
    parser.add_argument("--base", type=Path, default=BASE, help="what it begins with; default: demo/evidence/base-0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--updates", type=int, default=3000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start_s = time.monotonic()
    torch.optim._muon._zeropower_via_newtonschulz = orthogonal
    before = AutoTokenizer.from_pretrained(arguments.base)
    tokenizer = add_signs(before)
    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32)
    widen(model, before)
    n_logged = 0

    def log(text: str) -> None:
        nonlocal n_logged
        print(f"[{time.monotonic() - start_s:6.0f} s] {text}", flush=True)
        n_logged += 1
        if n_logged % 2 == 0:
            model.save_pretrained(arguments.out)

    learn_corpus(Trainer(model), tokenizer, Course(DIAL_MIXTURE, arguments.updates, arguments.seed), log)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    model.eval()
    for distance in (60, 200, 300, 500):
        print(measure_copying(model, tokenizer, "filler", distance), flush=True)
    for n_operations in (1, 2, 3, 4, 5, 6, 8, 12, 24):
        accuracy = measure_dial_accuracy(model, tokenizer, n_operations)
        print(f"{n_operations} operations: accuracy {accuracy:.3f}", flush=True)


if __name__ == "__main__":
    main()
