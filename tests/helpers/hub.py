"""A stand-in for the hub: its cache on this machine, as a finished download leaves it."""

import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl

# What the client writes beside a snapshot, by which it knows one that is whole.
from huggingface_hub._tree_cache import TreeCacheEntry, write_tree_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_into_cache(
    cache: Path, repository: str, files: Mapping[str, str | bytes], branch: str = "main", commit: str = COMMIT
) -> Path:
    """Write a data set of the hub into `cache`, with `branch` at `commit`; its snapshot."""
    home = cache / f"datasets--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    tree = {}
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).write_bytes(data)
        tree[name] = TreeCacheEntry(len(data), f"{len(tree):040x}", None, None, None)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / branch).write_text(commit)
    write_tree_cache(str(home), commit, tree)
    return snapshot


def gsm8k(questions: int) -> dict[str, str | bytes]:
    """A set in the shape of openai/gsm8k, with our own content: a plain and a self-asking solution of each question."""
    halves: dict[str, list[dict[str, str]]] = {"main": [], "socratic": []}
    for i in range(questions):
        a, b = 3 + i, 5 + 2 * i
        question = f"Box number {i} holds {a} red and {b} blue pens. How many pens does it hold?"
        steps = f"It holds {a} + {b} = <<{a}+{b}={a + b}>>{a + b} pens."
        asked = f"How many pens are in the box? ** {a} red and {b} blue pens are {a} + {b} = {a + b} pens."
        halves["main"].append({"question": question, "answer": f"{steps}\n#### {a + b}"})
        halves["socratic"].append({"question": question, "answer": f"{asked}\n#### {a + b}"})
    files: dict[str, str | bytes] = {"README.md": "---\nlicense:\n- mit\n---\n# Pens\n"}
    for name, rows in halves.items():
        for split in ("train", "test"):
            file = io.BytesIO()
            pl.DataFrame(rows if split == "train" else rows[:2]).write_parquet(file)
            files[f"{name}/{split}-00000-of-00001.parquet"] = file.getvalue()
    return files
