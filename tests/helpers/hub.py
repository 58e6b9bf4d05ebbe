"""A stand-in for the hub: its cache on this machine, as a finished download leaves it."""

from collections.abc import Mapping
from pathlib import Path

# What the client writes beside a snapshot, by which it knows one that is whole.
from huggingface_hub._tree_cache import TreeCacheEntry, write_tree_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_into_cache(cache: Path, repository: str, files: Mapping[str, str | bytes], branch: str = "main") -> Path:
    """Write a data set of the hub into `cache`, with `branch` at COMMIT; its snapshot."""
    home = cache / f"datasets--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    tree = {}
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).write_bytes(data)
        tree[name] = TreeCacheEntry(len(data), f"{len(tree):040x}", None, None, None)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / branch).write_text(COMMIT)
    write_tree_cache(str(home), COMMIT, tree)
    return snapshot
