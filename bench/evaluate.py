"""Speed of answering questions beside transformers' plain `generate`, and what bfloat16 changes in the answers.

    python bench/evaluate.py --student FOLDER [--questions 20] [--tokens 200] [--sums 100] [--threads 2]

Both get the same prompts and the same loaded model, one after the other, `--repeat` rounds; seconds are the least of
the rounds, wall clock and of the process's CPUs (on a machine that does something else besides, the second says more).
`generate` makes all tokens of all rows at once, until the last row ends. Sums of two numbers below 100 are asked for
accuracy: the share whose last number is right, in each precision, and the share of answers that are the same text.
"""

import argparse
import random
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from stepsift import params
from stepsift.core.quiet import silenced
from stepsift.evaluate.asking import Answered, user
from stepsift.evaluate.sampling import How
from stepsift.evaluate.student_lm import StudentLM
from stepsift.student import find

DTYPES = ("float32", "bfloat16")
SUM_TOKENS = 24
TOPICS = ("a dog", "the sea", "two brothers", "a garden", "an old king", "music", "bread", "stars", "rain", "a bird")


def questions(n: int) -> list[str]:
    """Some are answered at length, some are not."""
    forms = ("Tell me a long story about {}, in great detail.", "What is {}?", "Write a letter about {}.")
    return [forms[i % len(forms)].format(TOPICS[i % len(TOPICS)]) for i in range(n)]


def answers(lm: StudentLM, asked: list[str], most: int) -> list[str]:
    """What the student says, as the stage has it answer."""
    prompts = [lm.renderer.prompt(user(question)) for question in asked]
    with Answered(len(prompts)) as answered:
        return [text for text, _ in lm._answer_all(prompts, asked, How([], most), answered)]


@torch.inference_mode()
def plain(lm: StudentLM, asked: list[str], most: int) -> list[str]:
    """The same by one call of `generate`."""
    prompts = [lm.renderer.prompt(user(question)) for question in asked]
    width, pad, ends = max(map(len, prompts)), lm.tokenizer.pad_token_id, lm._ends([])
    out = lm.model.generate(
        input_ids=torch.tensor([[pad] * (width - len(ids)) + ids for ids in prompts]),
        attention_mask=torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]),
        generation_config=GenerationConfig(max_new_tokens=most, eos_token_id=ends, pad_token_id=pad, do_sample=False),
    )
    return [lm._text(row, [], ends)[0] for row in out[:, width:].tolist()]


def timed(function: Callable[[], list[str]]) -> tuple[list[str], float, float]:
    """What it gives, seconds of the clock, and of the CPUs."""
    clock, cpu = time.perf_counter(), time.process_time()
    value = function()
    return value, time.perf_counter() - clock, time.process_time() - cpu


def right(texts: list[str], sums: list[tuple[int, int]]) -> float:
    """Share of answers whose last number is the sum."""
    last = [re.findall(r"\d+", text)[-1:] for text in texts]
    return sum(numbers == [str(a + b)] for numbers, (a, b) in zip(last, sums, strict=True)) / len(sums)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="demo/student")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--sums", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    asked, rng = questions(args.questions), random.Random(0)
    sums = [(rng.randrange(100), rng.randrange(100)) for _ in range(args.sums)]
    asked_sums = [f"What is {a} + {b}? Answer with the number." for a, b in sums]
    print(f"{Path(args.student).name}: {args.questions} questions of up to {args.tokens} tokens; {args.sums} sums")
    print("| dtype | answers s (CPU s) | generate s (CPU s) | ratio, CPU | same answers | sums right | as in float32 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    first: list[str] = []
    for dtype in DTYPES:
        lm = load(args.student, dtype, args.threads)
        answers(lm, asked[:1], 2)
        rounds: list[Any] = []
        for _ in range(args.repeat):
            rounds.append([timed(partial(way, lm, asked, args.tokens)) for way in (answers, plain)])
        ours, theirs = ([min(r[i][part] for r in rounds) for part in (1, 2)] for i in (0, 1))
        same = sum(a == b for a, b in zip(rounds[0][0][0], rounds[0][1][0], strict=True))
        said = answers(lm, asked_sums, SUM_TOKENS)
        first = first or said
        as_first = sum(a == b for a, b in zip(said, first, strict=True)) / max(1, len(said))
        seconds = " | ".join(f"{clock:.1f} ({cpu:.1f})" for clock, cpu in (ours, theirs))
        counts = f"{ours[1] / theirs[1]:.2f} | {same} of {len(asked)} | {right(said, sums):.2f} | {as_first:.2f}"
        print(f"| {dtype} | {seconds} | {counts} |", flush=True)


def load(path: str, dtype: str, threads: int | None) -> StudentLM:
    """A student behind the harness's interface, on the CPU."""
    source = find(params.Student(path=path))
    with silenced():
        model = source.load_model(dtype, "cpu")
    if threads:
        torch.set_num_threads(threads)
    return StudentLM(model, source.load_renderer(), source.context_tokens(), params.Evaluate())


if __name__ == "__main__":
    main()
