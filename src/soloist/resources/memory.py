"""Memory of the process and of the machine."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from soloist.errors import OutOfMemoryError

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE, _KEPT = 4 * 2**20, 16 * 2**20

_STATUS = Path("/proc/self/status")
_CONTROL_GROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_GROUP_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def peak_memory() -> float:
    """Peak resident memory of this process, in MB (10^6 bytes)."""
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 1e6, 1)
    import resource

    # Linux counts in KiB, macOS in bytes. psutil has no peak on either.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = _peak_of_status() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return round(peak, 1)


def resident_memory() -> float:
    """Resident memory of this process now, in MB."""
    return psutil.Process().memory_info().rss / 1e6


def available_memory() -> float:
    """Memory that this process may hold in all before the system refuses or swaps, in MB.

    On Linux a limit of the process (`ulimit -v`) or of its control groups, as of a container, counts.
    """
    free = psutil.virtual_memory().available / 1e6
    return resident_memory() + max(0.0, min([free, *_left_in_address_space(), *_left_in_control_groups()]))


@contextmanager
def within_memory(what: str) -> Iterator[None]:
    """Turn errors of PyTorch and Python for lack of memory into one line.

    Args:
        what: Work that was done, and the way out.

    Raises:
        OutOfMemoryError: The memory does not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(text in str(error) for text in _OUT_OF_MEMORY):
            raise
        raise OutOfMemoryError(f"out of memory {what}") from error


def _peak_of_status() -> float | None:
    """Peak of Linux, in MB; that of `getrusage` may be the peak of the program that started this one."""
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def _left_in_address_space() -> Iterator[float]:
    """Memory below a limit on the address space of the process, in MB."""
    if sys.platform == "linux":
        process = psutil.Process()
        limit, _ = process.rlimit(psutil.RLIMIT_AS)
        if limit != psutil.RLIM_INFINITY:
            yield (limit - process.memory_info().vms) / 1e6


def _left_in_control_groups() -> Iterator[float]:
    """Memory below the limit of each control group of this process, and of those above them, in MB.

    The system counts files that were read or written lately, but drops them when memory is needed.
    """
    for folder in _control_groups():
        for names in _GROUP_FILES:
            limit, used = (_read_bytes(folder / name) for name in names)
            if limit is not None and used is not None:
                yield limit - used + _read_inactive(folder / "memory.stat")


def _control_groups() -> Iterator[Path]:
    """Folders of the groups, of either version; a container sees the root as the folder of its own group."""
    with suppress(OSError):
        for line in _MEMBERSHIP.read_text(encoding="utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root = _CONTROL_GROUPS / "memory" if controllers else _CONTROL_GROUPS
            group = root / name.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _read_inactive(file: Path) -> float:
    """Size of files that are cached and not in use, with the groups below, in MB, from `memory.stat`."""
    values = [0]
    with suppress(OSError, ValueError):
        for line in file.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                values.append(int(value))
    return max(values) / 1e6


def _read_bytes(file: Path) -> float | None:
    """Read a file that holds a number of bytes, in MB; None if there is no file or no limit."""
    with suppress(OSError, ValueError):
        return int(file.read_text(encoding="ascii")) / 1e6
    return None


def return_memory_at_once() -> None:
    """Make glibc return the memory of large tensors to the system when they are freed.

    By default glibc keeps blocks of up to 32 MB for later, and a process that cuts a long recording into
    chunks grows for minutes by the gaps between them. The return costs page faults. Of small blocks glibc
    keeps more than by default: to return them again and again takes as long as to compute.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
