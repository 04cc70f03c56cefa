"""Memory of the process."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_LARGE = 4 * 2**20


def peak_memory() -> float | None:
    """The most memory that this process has held, in MB (10^6 bytes); None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def return_memory_at_once() -> None:
    """Have large tensors give their memory back to the system when they are freed, where glibc is used.

    By itself glibc keeps blocks of up to 32 MB for later, and a process that cuts a long recording into
    chunks grows for minutes by the gaps between them. Costs some page faults, fewer with huge pages.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
