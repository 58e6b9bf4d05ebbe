"""A curated set (`train.jsonl`) as token ids, with a row for every example that cannot be trained on."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stepsift.core import tables
from stepsift.core.errors import StudentError, TrainingError
from stepsift.core.text import count
from stepsift.render import Renderer
from stepsift.train.order import Rotation

DETAIL, TRAIN_END = "train_detail", "train_end"
"""Keys of an answer's spans, and of whether the token that ends it is learned: see the select stage's step_masks."""
TURN = "turn"
"""Key of a row that comes in turn with others of its prompt: see `select.selectors[].each_epoch`."""
IGNORED = -100
"""The label of tokens that are not in the loss."""
Ids = list[tuple[list[int], list[int]]]
"""Prompt ids and completion ids of each example."""
Labels = list[list[int]]
"""Of each example's completion ids: the id itself, or IGNORED."""


@dataclass(frozen=True)
class Examples:
    """(prompt ids, completion ids) of each example in the order of the file, and the rows that were left out.

    Completion ids are the response's and the token that ends the turn. `rejected` has the columns of tables.REJECTED.
    `weights` [examples] are above 0; None where all are the same, which is another way to say that all are 1. `masked`
    are labels where steps are left out of the loss; None where all completion ids are in it. With a `rotation` a pass
    shows one example of each prompt.
    """

    ids: Ids
    rejected: pl.DataFrame
    weights: tuple[float, ...] | None = None
    masked: Labels | None = None
    rotation: Rotation | None = None

    @property
    def pass_size(self) -> int:
        """Examples that a pass shows."""
        return len(self.rotation or self.ids)

    @property
    def mean_tokens(self) -> float:
        """Tokens of an example on average, prompt and completion."""
        return sum(len(prompt) + len(completion) for prompt, completion in self.ids) / max(1, len(self.ids))

    def part(self, places: list[int]) -> "Examples":
        """These examples alone, in this order."""
        number = {place: i for i, place in enumerate(places)}
        rotation = None
        if self.rotation is not None:
            kept = (tuple(number[i] for i in own if i in number) for own in self.rotation)
            rotation = tuple(own for own in kept if own)
        return Examples(
            [self.ids[i] for i in places],
            self.rejected,
            self.weights and tuple(self.weights[i] for i in places),
            self.masked and [self.masked[i] for i in places],
            rotation,
        )

    @property
    def labels(self) -> Labels:
        """Of completion ids, for every example."""
        return [completion for _, completion in self.ids] if self.masked is None else self.masked

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each example that are in the loss, end token included."""
        return [sum(label != IGNORED for label in labels) for labels in self.labels]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all ids in their order, and weights, masks and rotation where there are some; 64 hexadecimal
        digits."""
        digest = hashlib.sha256()
        for pair in self.ids:
            for ids in pair:
                digest.update(np.asarray([len(ids), *ids], dtype="<i8").tobytes())
        if self.weights is not None:
            digest.update(np.asarray(self.weights, dtype="<f8").tobytes())
        for labels in self.masked or ():
            digest.update(np.asarray([len(labels), *labels], dtype="<i8").tobytes())
        if self.rotation is not None:
            digest.update(f"rotation {self.rotation}".encode())
        return digest.hexdigest()


def load_examples(path: Path, renderer: Renderer, most_tokens: int, name: str) -> Examples:
    """Read and render a `train.jsonl`; `name` stands for the file in rejected rows and errors.

    An example with more than `most_tokens` tokens (end token counted), one that the student's chat template refuses, or
    one without tokens (`student.thinking: drop`, and no answer) is a rejected row, and so is one of weight 0. Raises
    TrainingError if the file is missing or broken, or if no example remains.
    """
    ids, labels, weights, turns, rejected = [], [], [], [], []
    for line, row in _rows(path, name):
        source = (name, line, row.get("trace_id"), row.get("teacher"))
        try:
            pair, own = _ids_and_labels(row, renderer)
        except StudentError as e:
            rejected.append((*source, "template", str(e)))
            continue
        n_tokens = len(pair[0]) + len(pair[1])
        weight = row.get("weight", 1.0)
        if pair[1] == [renderer.end_id]:
            rejected.append((*source, "no_tokens", "the response gives no token under this student"))
        elif not any(label != IGNORED for label in own):
            rejected.append((*source, "no_tokens", "all tokens of the response are masked (train.steps)"))
        elif n_tokens > most_tokens:
            rejected.append((*source, "too_long", f"{count(n_tokens, 'token')}, at most {most_tokens} are allowed"))
        elif weight == 0:
            rejected.append((*source, "no_weight", "its weight is 0 (select.weights), so it would move nothing"))
        else:
            ids.append(pair)
            labels.append(own)
            weights.append(weight)
            turns.append((row.get("prompt_id"), row.get(TURN)))
    frame = pl.DataFrame(rejected, schema=tables.REJECTED.schema, orient="row")
    if not ids:
        reasons = "; ".join(frame["detail"].unique(maintain_order=True).head(3))
        why = f"all {frame.height} were left out ({reasons})" if rejected else "the file is empty"
        raise TrainingError(
            f"{name} leaves no example to train on: {why}; look at train.max_tokens, student.max_context_tokens and "
            "the traces that were selected"
        )
    masked = labels if any(IGNORED in own for own in labels) else None
    return Examples(ids, frame, None if len(set(weights)) == 1 else tuple(weights), masked, _rotation(turns))


def _rotation(turns: list[tuple[Any, int | None]]) -> Rotation | None:
    """Of (prompt, turn) of each example; None where no prompt has two that come in turn."""
    by_prompt: dict[Any, list[tuple[int, int]]] = {}
    for i, (prompt, turn) in enumerate(turns):
        by_prompt.setdefault((prompt,) if turn is not None else i, []).append((turn or 0, i))
    rotation = tuple(tuple(i for _, i in sorted(own)) for own in by_prompt.values())
    return rotation if len(rotation) < len(turns) else None


def _ids_and_labels(row: dict[str, Any], renderer: Renderer) -> tuple[tuple[list[int], list[int]], list[int]]:
    """Ids of an example, and labels of its completion.

    A token belongs to the step that holds its last character, as in scoring, and has no label where that character is
    in a span that is not trained. With `train_end: false` the end token has none, and what has none at the end goes:
    nothing that is learned would see it.
    """
    *prompt, answer = row["messages"]
    rendered = renderer.render(prompt, answer["content"])
    ids, completion = rendered.training_ids()
    spans = [s for s in answer.get(DETAIL, ()) if not s["train"]]
    if not spans and row.get(TRAIN_END, True):
        return (ids, completion), completion
    is_masked = np.zeros(len(completion), dtype=bool)
    for span in spans:
        first, behind = np.searchsorted(rendered.last_char, [span["begin_offset"], span["end_offset"] + 1])
        is_masked[first:behind] = True
    is_masked[-1] = not row.get(TRAIN_END, True)
    labels = np.where(is_masked, IGNORED, completion).tolist()
    if is_masked[-1]:
        n = len(labels) - int(np.argmin(is_masked[::-1])) if not is_masked.all() else len(labels)
        completion, labels = completion[:n], labels[:n]
    return (ids, completion), labels


def _rows(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and content of each row. The file is our own export, so a broken one is an error."""
    again = "run 'dvc repro -f select' to write it anew"
    try:
        with path.open(encoding="utf-8", newline="\n") as f:
            for number, line in enumerate(f, start=1):
                row = _parse(line)
                if row is None:
                    raise TrainingError(f"{name}, line {number} holds no prompt with an assistant's answer; {again}")
                yield number, row
    except OSError as e:
        raise TrainingError(f"{path} cannot be read ({e.strerror}); run 'dvc repro select' to write it") from None
    except UnicodeDecodeError as e:
        raise TrainingError(f"{path} is not UTF-8 ({e.reason} at byte {e.start}); {again}") from None


def _parse(line: str) -> dict[str, Any] | None:
    """The row, if its messages are a prompt and then an assistant's answer, all of them text, its weight (if any) is a
    number that is not negative, its turn (if any) a number from 1, and its spans (if any) are spans."""
    try:
        row = json.loads(line)
        messages = row["messages"]
        texts = all(isinstance(m["role"], str) and isinstance(m["content"], str) for m in messages)
        weight = row.get("weight", 1.0)
        usable = isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0
        usable &= isinstance(row.get(TRAIN_END, True), bool)
        usable &= TURN not in row or (type(row[TURN]) is int and row[TURN] >= 1)
        answered = texts and len(messages) > 1 and messages[-1]["role"] == "assistant"
        return row if answered and usable and all(map(_is_span, messages[-1].get(DETAIL, ()))) else None
    except (ValueError, KeyError, TypeError):
        return None


def _is_span(span: dict[str, Any]) -> bool:
    """Whether it says from which character to which, both within, something is trained or not."""
    offsets = [span[key] for key in ("begin_offset", "end_offset")]
    are_numbers = all(isinstance(o, int) and not isinstance(o, bool) for o in offsets)
    return are_numbers and 0 <= offsets[0] <= offsets[1] and isinstance(span["train"], bool)


def hold_out_places(examples: Examples, share: float) -> tuple[list[int], list[int]]:
    """Numbers of the examples that are trained on and that are held out, both in the order of the set.

    Held out is the share of prompts (at least one) whose hash is smallest, with all their examples: it depends on
    prompts alone, so that sets of other selectors and other seeds hold out the same ones. Raises TrainingError where no
    prompt would be left to train on.
    """
    hashes = [hashlib.sha256(np.asarray(prompt, dtype="<i8").tobytes()).digest() for prompt, _ in examples.ids]
    distinct = sorted(set(hashes))
    n_held = max(1, round(share * len(distinct)))
    if n_held >= len(distinct):
        raise TrainingError(
            f"train.early_stop needs prompts to hold out and others to train on, and the set has {len(distinct)} in "
            "all; set it to null"
        )
    held = set(distinct[:n_held])
    places = range(len(hashes))
    return [i for i in places if hashes[i] not in held], [i for i in places if hashes[i] in held]
