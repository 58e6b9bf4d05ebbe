"""Builds the student of the story problems from nothing: a byte-level tokenizer and a small stock Llama.

Copying comes first: repeated random tokens, from short rows to long ones, until each length is learned. Plain training
on text of the same duration does not learn it. Then the corpus, with rows of repeated random tokens among it.

    python demo/pretrain.py --out demo/evidence/base-0
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from corpus import MIXTURE, Document, passage, tokenizer_texts
from measure import measure_accuracy, measure_copying, prompt_ids

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
PIECES = r" ?\d| ?\p{L}+| ?[^\s\p{L}\d]+|\s+"
"""What no token crosses: single digits, words and signs, each with the space before it, and white space."""
VOCABULARY = 640
CONTEXT_TOKENS = 2048
COPY_BATCH_TOKENS, CORPUS_BATCH_TOKENS = 4096, 2048
IGNORED = -100
COPY_LEVELS = ((24, 48), (24, 48, 96), (48, 96, 192), (96, 192, 384), (192, 384, 768))
"""Row lengths, in tokens, of the copying curriculum; a level ends when its mean loss falls below `LEARNED_NATS`."""
LEARNED_NATS = 0.25
CORPUS_ROWS = (256, 256, 256, 768)
QUOTE_ROWS = (96, 192, 384, 768)
UPDATE_SHARES = {"corpus": 0.8, "quotes": 0.1, "random": 0.1}
"""Share of updates on documents, on filler over and over, and on repeated random tokens once the corpus has begun."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Token ids and labels, both [rows, tokens]; what cannot be foretold has the label `IGNORED`."""
Mixture = Mapping[Callable[[Random], Document], float]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE with single digits, which encodes any text and adds no special token; the same for any seed."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(tokenizer_texts(Random("tokenizer:0"), 5000), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=CONTEXT_TOKENS, clean_up_tokenization_spaces=False, **SPECIAL
    )


def build_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> LlamaForCausalLM:
    """A Llama of about 0.6 million parameters with seeded initial weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def copy_batch(generator: torch.Generator, n_tokens: int, batch_tokens: int) -> Batch:
    """Rows of a random sequence over and over; only its repetitions have labels, since the first pass is chance."""
    rows = max(1, batch_tokens // n_tokens)
    ids = torch.empty(rows, n_tokens, dtype=torch.long)
    labels = torch.full((rows, n_tokens), IGNORED)
    for row in range(rows):
        period = int(torch.randint(4, n_tokens // 2 + 1, (), generator=generator))
        sequence = torch.randint(len(SPECIAL), VOCABULARY, (period,), generator=generator)
        ids[row] = sequence.repeat(n_tokens // period + 1)[:n_tokens]
        labels[row, period + 1 :] = ids[row, period + 1 :]
    return ids, labels


def corpus_batch(rng: Random, tokenizer: PreTrainedTokenizerBase, n_tokens: int, mixture: Mixture) -> Batch:
    """Rows of documents of `mixture`, each between its beginning and end tokens; the last one of a row is cut."""
    rows: list[list[int]] = []
    for _ in range(CORPUS_BATCH_TOKENS // n_tokens):
        row: list[int] = []
        while len(row) < n_tokens:
            make = rng.choices(list(mixture), list(mixture.values()))[0]
            prompt, response = make(rng)
            row += prompt_ids(tokenizer, prompt) if prompt else [int(tokenizer.bos_token_id)]
            row += [*tokenizer.encode(response, add_special_tokens=False), int(tokenizer.eos_token_id)]
        rows.append(row[:n_tokens])
    ids = torch.tensor(rows)
    return ids, ids


def quote_batch(rng: Random, tokenizer: PreTrainedTokenizerBase, n_tokens: int) -> Batch:
    """Rows of a passage of filler over and over, each beginning with the beginning-of-sequence token."""
    rows: list[list[int]] = []
    for _ in range(CORPUS_BATCH_TOKENS // n_tokens):
        period = rng.randint(8, n_tokens // 2)
        text = passage(rng, period // 8 + 1) + "\n"
        quoted = tokenizer.encode(text, add_special_tokens=False)[:period]
        rows.append([int(tokenizer.bos_token_id), *quoted * (n_tokens // len(quoted) + 1)][:n_tokens])
    ids = torch.tensor(rows)
    return ids, ids


class Trainer:
    """Updates a model: Muon for its matrices, AdamW for embeddings and norms, a factor on both learning rates."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.model = model
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(matrices, lr=5e-3, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]

    def update(self, batch: Batch, factor: float) -> float:
        """One update; returns the mean loss of the batch in nats per token."""
        ids, labels = batch
        loss = self.model(ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.item())


def learn_copying(trainer: Trainer, seed: int, max_updates: int, log: Callable[[str], None]) -> None:
    """The copying curriculum; raises RuntimeError when `max_updates` do not suffice."""
    generator = torch.Generator().manual_seed(seed)
    update = 0
    for level, lengths in enumerate(COPY_LEVELS):
        mean_loss = math.log(VOCABULARY)
        while mean_loss > LEARNED_NATS:
            if update == max_updates:
                raise RuntimeError(f"copying level {level} not learned in {max_updates} updates: loss {mean_loss:.2f}")
            length = lengths[int(torch.randint(len(lengths), (), generator=generator))]
            loss = trainer.update(copy_batch(generator, length, COPY_BATCH_TOKENS), min(1.0, (update + 1) / 50))
            mean_loss = 0.97 * mean_loss + 0.03 * loss
            update += 1
            if update % 100 == 0:
                log(f"copying level {level} update {update} mean loss {mean_loss:.3f}")


@dataclass(frozen=True)
class Course:
    """What the corpus is, how many updates are made on it, and the seed of its draws."""

    mixture: Mixture
    updates: int
    seed: int


def learn_corpus(
    trainer: Trainer, tokenizer: PreTrainedTokenizerBase, course: Course, log: Callable[[str], None]
) -> None:
    """Updates on the corpus, with copying among them; the learning rate falls to zero along a cosine."""
    rng, generator = Random(f"corpus:{course.seed}"), torch.Generator().manual_seed(course.seed + 1)
    for update in range(course.updates):
        factor = 0.5 + 0.5 * math.cos(math.pi * update / course.updates)
        kind = rng.choices(list(UPDATE_SHARES), list(UPDATE_SHARES.values()))[0]
        if kind == "corpus":
            batch = corpus_batch(rng, tokenizer, rng.choice(CORPUS_ROWS), course.mixture)
        elif kind == "quotes":
            batch = quote_batch(rng, tokenizer, rng.choice(QUOTE_ROWS))
        else:
            ids, _ = copy_batch(generator, rng.choice(QUOTE_ROWS), CORPUS_BATCH_TOKENS)
            batch = ids, ids
        loss = trainer.update(batch, factor)
        if update % 100 == 0:
            log(f"update {update} of {course.updates}, {kind} loss {loss:.3f}")


def main() -> None:
    """Trains, saves and measures the student."""
    parser = argparse.ArgumentParser(description="Build the student of the story problems from nothing.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the student")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--copy-updates", type=int, default=8000, help="most updates of the copying curriculum")
    parser.add_argument("--updates", type=int, default=2600, help="updates on the corpus")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start_s = time.monotonic()

    def log(text: str) -> None:
        print(f"[{time.monotonic() - start_s:6.0f} s] {text}", flush=True)

    tokenizer = build_tokenizer()
    model = build_model(tokenizer, arguments.seed)
    log(f"{model.num_parameters()} parameters, {len(tokenizer)} tokens")
    trainer = Trainer(model)
    learn_copying(trainer, arguments.seed, arguments.copy_updates, log)
    learn_corpus(trainer, tokenizer, Course(MIXTURE, arguments.updates, arguments.seed), log)
    model.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    model.eval()
    for kind in ("random", "filler"):
        for distance in (60, 100, 200, 300, 500):
            log(f"{kind} {measure_copying(model, tokenizer, kind, distance)}")
    for n_operations in range(1, 7):
        log(f"{n_operations} operations: accuracy {measure_accuracy(model, tokenizer, n_operations):.3f}")


if __name__ == "__main__":
    main()
