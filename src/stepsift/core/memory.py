"""What a process does with memory that it has freed."""

import contextlib
import ctypes
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Three settings of glibc, by the numbers that mallopt(3) knows them by."""
_USUAL = ((_MMAP_MAX, 65_536), (_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 64 << 20))
"""Afterwards: what glibc's own adjustment, which ends with the first call of mallopt, comes to at most."""


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within the block the process keeps what it frees, for its next tensors; in the end it gives it back.

    By itself glibc gives a tensor of more than 32 MB back to the system as soon as it is freed, and the system clears
    the pages of the next one: a quarter of the CPU time in which SmolLM2-135M was trained (docs/BENCH.md). No value
    depends on it; with another C library than glibc nothing is changed.
    """
    process = ctypes.CDLL(None)
    if not hasattr(process, "mallopt"):
        yield
        return
    process.mallopt(_MMAP_MAX, 0)
    process.mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        for setting, value in _USUAL:
            process.mallopt(setting, value)
        process.malloc_trim(0)
