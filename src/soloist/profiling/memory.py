"""Memory of the process and of the machine."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

# From glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_LARGE = 4 * 2**20

_CONTROL_GROUP = Path("/sys/fs/cgroup")


def peak_memory() -> float | None:
    """The most memory that this process has held, in MB (10^6 bytes); None where the system does not say.

    On Linux that is since the last `reset_peak_memory`.
    """
    if sys.platform == "win32":
        return None
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def reset_peak_memory() -> None:
    """Have `peak_memory` begin anew with what is held now, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def resident_memory() -> float | None:
    """The memory that this process holds now, in MB; None where the system does not say."""
    return _read_kib(Path("/proc/self/status"), "VmRSS")


def available_memory() -> float | None:
    """What this process may hold in all before the system refuses or swaps, in MB; None if it does not say.

    That is what Linux has left, or what it allows the control group of the process, as of a container.
    """
    free, held = _read_kib(Path("/proc/meminfo"), "MemAvailable"), resident_memory()
    if free is None or held is None:
        return None
    limit, used = (_read_bytes(_CONTROL_GROUP / name) for name in ("memory.max", "memory.current"))
    return held + (free if limit is None or used is None else max(0.0, min(free, limit - used)))


def _read_bytes(file: Path) -> float | None:
    """A file that holds a number of bytes, in MB; None where there is none, or no limit."""
    with suppress(OSError, ValueError):
        return int(file.read_text(encoding="ascii")) / 1e6
    return None


def _read_kib(file: Path, name: str) -> float | None:
    """An entry of one of Linux's lists of sizes, in MB; None where there is no such list."""
    with suppress(OSError):
        for line in file.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


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
