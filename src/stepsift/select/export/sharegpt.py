"""`sharegpt.jsonl`: `conversations` of `from` and `value`, as axolotl, LLaMA-Factory and others take them."""

from pathlib import Path
from typing import Any

import polars as pl

from stepsift.select.export.lines import Row, assistant, detail, write_lines

FILE = "sharegpt.jsonl"
FROM = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}
"""Role of a message to the name that the layout has for it."""


def write(examples: pl.DataFrame, folder: Path) -> Path:
    """Write `conversations`, and `system` ("" where there is none): the text of the system message that stands
    first."""
    return write_lines(examples, folder / FILE, _content)


def _content(row: Row) -> Row:
    turns: list[dict[str, Any]] = [*row["prompt"], assistant(row)]
    system = turns.pop(0)["content"] if turns[0]["role"] == "system" else ""
    shown: list[dict[str, Any]] = [{"from": FROM[t["role"]], "value": t["content"]} for t in turns]
    shown[-1] |= detail(row)
    return {"conversations": shown, "system": system}
