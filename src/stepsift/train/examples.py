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

Ids = list[tuple[list[int], list[int]]]
"""Prompt ids and completion ids of each example."""


@dataclass(frozen=True)
class Examples:
    """(prompt ids, completion ids) of each example in the order of the file, and the rows that were left out.

    Completion ids are the response's and the token that ends the turn. `rejected` has the columns of tables.REJECTED.
    `weights` [examples] are above 0; None where all are the same, which is another way to say that all are 1.
    """

    ids: list[tuple[list[int], list[int]]]
    rejected: pl.DataFrame
    weights: tuple[float, ...] | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all ids in their order, and weights where there are some; 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for pair in self.ids:
            for ids in pair:
                digest.update(np.asarray([len(ids), *ids], dtype="<i8").tobytes())
        if self.weights is not None:
            digest.update(np.asarray(self.weights, dtype="<f8").tobytes())
        return digest.hexdigest()


def load_examples(path: Path, renderer: Renderer, most_tokens: int, name: str) -> Examples:
    """Read and render a `train.jsonl`; `name` stands for the file in rejected rows and errors.

    An example with more than `most_tokens` tokens (end token counted), one that the student's chat template refuses, or
    one without tokens (`student.thinking: drop`, and no answer) is a rejected row, and so is one of weight 0. Raises
    TrainingError if the file is missing or broken, or if no example remains.
    """
    ids, weights, rejected = [], [], []
    for line, row in _rows(path, name):
        *prompt, answer = row["messages"]
        source = (name, line, row.get("trace_id"), row.get("teacher"))
        try:
            pair = renderer.render(prompt, answer["content"]).training_ids()
        except StudentError as e:
            rejected.append((*source, "template", str(e)))
            continue
        if len(pair[1]) == 1:
            rejected.append((*source, "no_tokens", "the response gives no token under this student"))
            continue
        n_tokens = len(pair[0]) + len(pair[1])
        weight = row.get("weight", 1.0)
        if n_tokens > most_tokens:
            rejected.append((*source, "too_long", f"{count(n_tokens, 'token')}, at most {most_tokens} are allowed"))
        elif weight == 0:
            rejected.append((*source, "no_weight", "its weight is 0 (select.weights), so it would move nothing"))
        else:
            ids.append(pair)
            weights.append(weight)
    frame = pl.DataFrame(rejected, schema=tables.REJECTED.schema, orient="row")
    if not ids:
        reasons = "; ".join(frame["detail"].unique(maintain_order=True).head(3))
        why = f"all {frame.height} were left out ({reasons})" if rejected else "the file is empty"
        raise TrainingError(
            f"{name} leaves no example to train on: {why}; look at train.max_tokens, student.max_context_tokens and "
            "the traces that were selected"
        )
    return Examples(ids, frame, None if len(set(weights)) == 1 else tuple(weights))


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
    """The row, if its messages are a prompt and then an assistant's answer, all of them text, and its weight (if it has
    one) is a number that is not negative."""
    try:
        row = json.loads(line)
        messages = row["messages"]
        texts = all(isinstance(m["role"], str) and isinstance(m["content"], str) for m in messages)
        weight = row.get("weight", 1.0)
        usable = isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0
        return row if texts and usable and len(messages) > 1 and messages[-1]["role"] == "assistant" else None
    except (ValueError, KeyError, TypeError):
        return None


def hold_out(examples: Examples, share: float) -> tuple[Ids, Ids]:
    """What is trained on and what is held out, both in the order of the set.

    Held out is the share of prompts (at least one) whose hash is smallest, with all their examples: it depends on
    prompts alone, so that sets of other selectors and other seeds hold out the same ones. Raises TrainingError where no
    prompt would be left to train on.
    """
    trained, held = hold_out_places(examples, share)
    return [examples.ids[i] for i in trained], [examples.ids[i] for i in held]


def hold_out_places(examples: Examples, share: float) -> tuple[list[int], list[int]]:
    """The same as numbers of the examples."""
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
