"""Rows of the raw files that demo/make_sources.py writes, read by other code."""

import gzip
import json
from pathlib import Path


def read_rows(path: Path) -> list[dict]:
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    return [json.loads(line) for line in data.decode("utf-8").splitlines()]


def read_row(row: dict, name: str) -> tuple[str, str, str]:
    """Prompt, whole response and teacher of a row in any of the three layouts."""
    if "messages" in row:
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        reasoning = assistant.get("reasoning_content")
        text = assistant["content"] if reasoning is None else f"<think>\n{reasoning}\n</think>\n{assistant['content']}"
        return user["content"], text, Path(name).stem
    if "conversations" in row:
        human, gpt = row["conversations"]
        assert (human["from"], gpt["from"]) == ("human", "gpt")
        return human["value"], gpt["value"], row["teacher"]
    return row["question"], row["solution"], row["teacher"]
