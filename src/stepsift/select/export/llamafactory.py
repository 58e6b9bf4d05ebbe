"""`dataset_info.json`, from which LLaMA-Factory learns how to read `train.jsonl` beside it (`dataset_dir`: this
folder)."""

from pathlib import Path

import polars as pl

from stepsift.core import disk
from stepsift.select.export import messages

FILE = "dataset_info.json"
NAME = "stepsift"
"""What `dataset:` names in LLaMA-Factory's configuration."""
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
    "observation_tag": "tool",
}


def write(examples: pl.DataFrame, folder: Path) -> Path:
    """Write what it wants to know of chat messages, which it calls sharegpt with tags of its own."""
    about = {
        "file_name": messages.FILE,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": _TAGS,
    }
    disk.write_json({NAME: about}, folder / FILE)
    return folder / FILE
