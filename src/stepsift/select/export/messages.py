"""`train.jsonl`, chat messages: what TRL (conversational language modelling) and axolotl (`type: chat_template`) take.

Our own train stage reads it too.
"""

from pathlib import Path

import polars as pl

from stepsift.select.export.lines import assistant, write_lines

FILE = "train.jsonl"


def write(examples: pl.DataFrame, folder: Path) -> Path:
    """Write `messages`: the prompt's messages, then the response as the assistant's."""
    return write_lines(examples, folder / FILE, lambda row: {"messages": [*row["prompt"], assistant(row)]})
