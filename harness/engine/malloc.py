"""Memory, configured for NumPy: the C library's allocator, and how often Python looks for cycles."""

from __future__ import annotations

import ctypes
import gc
import os
from typing import Final

# <malloc.h> of glibc; the second may be no larger than half of the least heap of a thread.
_TRIM_THRESHOLD: Final = (-1, 1 << 28)
_MMAP_THRESHOLD: Final = (-3, 1 << 25)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to 256 MiB; where the C library is not glibc, nothing changes.

    By default glibc gives every freed array above some 100 kB back to the system, which hands out (and clears) new
    pages for the next array: with as many temporaries as the judge has, a third of its time. mallopt(3).

    Cycles are looked for a fiftieth as often: values that refer to each other are rare here, and the search takes a
    twentieth of the time of a check.
    """
    gc.set_threshold(50 * 700, 10, 10)
    if os.name != "posix":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, size in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            mallopt(option, size)
