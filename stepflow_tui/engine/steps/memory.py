"""Gives memory of finished work back to the system: the census' caches are of no use to the copy."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def give_back() -> None:
    """Collect, and trim the C heap where the C library can (glibc); elsewhere the allocator decides by itself."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
