import ctypes
from pathlib import Path

import numpy as np
import pytest

from stepsift.core.memory import freed_memory_kept

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
MB = 1 << 20


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def use_and_free(megabytes: int) -> None:
    np.ones(megabytes * MB, dtype=np.int8)


def test_what_is_freed_stays_within_the_block_and_is_given_back_after_it():
    before = resident()
    with freed_memory_kept():
        use_and_free(200)
        assert resident() - before > 150 * MB
        kept = resident()
        use_and_free(200)
        assert resident() - kept < 20 * MB  # the same memory again
    assert resident() - before < 50 * MB


def test_after_the_block_large_arrays_are_given_back_at_once():
    with freed_memory_kept():
        use_and_free(1)
    before = resident()
    use_and_free(200)
    assert resident() - before < 50 * MB


def test_memory_is_given_back_where_the_block_raises():
    before = resident()
    with pytest.raises(ValueError, match="stop"), freed_memory_kept():
        use_and_free(200)
        raise ValueError("stop")
    assert resident() - before < 50 * MB
