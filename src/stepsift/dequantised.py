"""A GGUF student as folders that load in a second: dequantised and converted once, and kept in the side cache.

Reading a GGUF file takes transformers half a minute, most of it for the vocabulary, at every start of a stage. What is
kept is what transformers made of the file, byte for byte; a student is known by its GGUF file all the same.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from stepsift import sidecache
from stepsift.core import disk
from stepsift.core.errors import CacheError

log = logging.getLogger(__name__)

FOLDER = "students"
"""Name of the side cache below its root."""
_VERSION = 2
"""Raised whenever another conversion could give other weights or another tokenizer."""


class LossyConversionError(Exception):
    """What would be kept is not what was read."""


def converted(gguf: Path, part: str, convert: Callable[[Path], None]) -> Path | None:
    """The folder that `convert` filled for this GGUF file, by these versions, when it was first called for.

    `part` says what of the file is kept (`config`, `tokenizer`, the weights in `float32`). None where nothing may be
    kept, or what is read back differs from what was read (`convert` raises LossyConversionError): then the file itself
    is to be read. Whatever else `convert` raises passes through.
    """
    stat = gguf.stat()
    packages = {name: version(name) for name in ("gguf", "tokenizers", "torch", "transformers")}
    content = _sha256(gguf, stat.st_size, stat.st_mtime_ns)
    key = sidecache.key(kind="student", version=_VERSION, gguf=content, part=part, versions=packages)
    try:
        entry, _ = sidecache.SideCache(sidecache.root() / FOLDER).get_or_make(key, convert)
    except (CacheError, LossyConversionError) as e:
        log.info("%s is converted at every start: %s", gguf.name, e)
        return None
    return entry


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, n_bytes: int, changed_ns: int) -> str:
    """Hash of a file's content, computed again only where size or time of change say that it may be another."""
    return disk.file_sha256(path)


@contextmanager
def no_bar() -> Iterator[None]:
    """Without the bar that transformers draws while it dequantises, for which it has no switch."""
    from transformers import modeling_gguf_pytorch_utils as reader

    original = reader.tqdm
    reader.tqdm = functools.partial(original, disable=True)
    try:
        yield
    finally:
        reader.tqdm = original
