"""Gives memory back to the system that the C library would keep for later."""

import ctypes
import sys
from typing import Any

_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_LARGE = 2**20


def keep_no_large_blocks() -> None:
    """Have every freed block of a megabyte or more go back to the system at once, in all of this process (glibc).

    Left alone, glibc raises what it calls large to the size of what is freed, and keeps smaller blocks in heaps that
    fill with holes: a decoder then holds twice what it uses.
    """
    option = _glibc("mallopt")
    if option is not None:
        option(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Return what was freed, where the C library can be asked to (glibc); elsewhere do nothing."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Any:
    """Return a function of the C library; None where it has none of this name."""
    if sys.platform != "linux":
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
