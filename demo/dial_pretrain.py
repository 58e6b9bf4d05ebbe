"""Builds a student for the dial's world: the demo's student, which copies already, goes on with the dial's corpus.

    python demo/dial_pretrain.py --out data/dial-student        # 2,600 updates, ten to fifteen minutes on one core

The tokenizer stays. While it trains, the weights are saved every 200 updates.
"""

import argparse
import re
import time
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from dial_corpus import DIAL_MIXTURE
from dial_world import LETTERS, make_dial_problem
from measure import measure_copying, prompt_ids
from pretrain import Course, Trainer, learn_corpus

STUDENT = Path(__file__).resolve().parent / "student"
MOST_TOKENS = 320


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
    parser = argparse.ArgumentParser(description="Build a student for the dial's world from the demo's student.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the student")
    parser.add_argument("--base", type=Path, default=STUDENT, help="what it begins with; default: the demo's student")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--updates", type=int, default=2600)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start_s = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(arguments.base)
    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32)
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
    for n_operations in (1, 2, 3, 4, 8, 24):
        accuracy = measure_dial_accuracy(model, tokenizer, n_operations)
        print(f"{n_operations} operations: accuracy {accuracy:.3f}", flush=True)


if __name__ == "__main__":
    main()
