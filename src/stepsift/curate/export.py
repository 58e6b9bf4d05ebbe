"""Curated sets as files that trainers read."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from stepsift import tables

# Line separators that JSON leaves as they are, but at which str.splitlines and some readers break a line.
_SEPARATORS = {c: f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}


def write_train_jsonl(curated: pl.DataFrame, prompts: pl.DataFrame, traces: pl.DataFrame, path: Path) -> None:
    """Write the chosen traces as chat examples, one JSON object a line, sorted by prompt_id; atomic.

    Keys: `messages` (the prompt's messages, then the response as the assistant's), `prompt_id`, `teacher`, `trace_id`;
    the layout that TRL, axolotl and our own chat reader take. UTF-8; the same rows give the same bytes.
    """
    tables.write_lines(_lines(curated, prompts, traces), path)


def _lines(curated: pl.DataFrame, prompts: pl.DataFrame, traces: pl.DataFrame) -> Iterator[str]:
    rows = (
        curated.select("prompt_id", "trace_id", "teacher")
        .sort("prompt_id", "trace_id")
        .join(prompts.select("prompt_id", "prompt"), on="prompt_id", how="left", maintain_order="left")
        .join(traces.select("trace_id", "response"), on="trace_id", how="left", maintain_order="left")
    )
    encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True)
    for row in rows.iter_rows(named=True):
        messages = [*row.pop("prompt"), {"role": "assistant", "content": row.pop("response")}]
        line = encoder.encode(row | {"messages": messages})
        for separator, escaped in _SEPARATORS.items():
            line = line.replace(separator, escaped)
        yield line + "\n"
