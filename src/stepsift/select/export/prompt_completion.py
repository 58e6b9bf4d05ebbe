"""`prompt_completion.jsonl`, as TRL takes it where only completions are in the loss (conversational
prompt-completion)."""

from pathlib import Path

import polars as pl

from stepsift.select.export.lines import assistant, write_lines

FILE = "prompt_completion.jsonl"


def write(examples: pl.DataFrame, folder: Path) -> Path:
    """Write `prompt`, the messages, and `completion`, a list of the assistant's one message."""
    return write_lines(examples, folder / FILE, lambda row: {"prompt": row["prompt"], "completion": [assistant(row)]})
