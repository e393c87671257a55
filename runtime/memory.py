"""Gives memory back to the system that the C library would keep for later."""

import ctypes
import sys


def give_back() -> None:
    """Return what was freed, where the C library can be asked to (glibc); elsewhere do nothing."""
    if sys.platform != "linux":
        return
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return
    trim(0)
