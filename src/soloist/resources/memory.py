"""Memory of the process and of the machine."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from soloist.errors import OutOfMemoryError

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE, _KEPT = 4 * 2**20, 16 * 2**20

_CONTROL_GROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_GROUP_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def peak_memory() -> float | None:
    """The most memory that this process has held, in MB (10^6 bytes); None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    # Its figure for the use of resources is that of the program before where a large one started this one.
    peak = _read_kib(Path("/proc/self/status"), "VmHWM")
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def resident_memory() -> float | None:
    """The memory that this process holds now, in MB; None where the system does not say."""
    return _read_kib(Path("/proc/self/status"), "VmRSS")


def available_memory() -> float | None:
    """What this process may hold in all before the system refuses or swaps, in MB; None if it does not say.

    That is what Linux has left, or what it allows the process (`ulimit -v`) or one of its control groups, as
    of a container.
    """
    free, held = _read_kib(Path("/proc/meminfo"), "MemAvailable"), resident_memory()
    if free is None or held is None:
        return None
    return held + max(0.0, min([free, *_left_in_address_space(), *_left_in_control_groups()]))


@contextmanager
def within_memory(what: str) -> Iterator[None]:
    """Say in one line that the memory did not suffice, whoever finds out.

    Args:
        what: What was done, and the way out.

    Raises:
        OutOfMemoryError: The memory does not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(text in str(error) for text in _OUT_OF_MEMORY):
            raise
        raise OutOfMemoryError(f"out of memory {what}") from error


def _left_in_address_space() -> Iterator[float]:
    """What a limit on the address space of a process leaves it, in MB."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _read_kib(Path("/proc/self/status"), "VmSize")
    if limit != resource.RLIM_INFINITY and taken is not None:
        yield limit / 1e6 - taken


def _left_in_control_groups() -> Iterator[float]:
    """What is left to the control groups of this process and those above them, in MB.

    Files that were read or written lately count as taken, but are given up when memory is needed.
    """
    for folder in _control_groups():
        for names in _GROUP_FILES:
            limit, used = (_read_bytes(folder / name) for name in names)
            if limit is not None and used is not None:
                yield limit - used + _read_inactive(folder / "memory.stat")


def _control_groups() -> Iterator[Path]:
    """The folders of the groups, of either version; inside a container the first ones stand for its own."""
    with suppress(OSError):
        for line in _MEMBERSHIP.read_text(encoding="utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root = _CONTROL_GROUPS / "memory" if controllers else _CONTROL_GROUPS
            group = root / name.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _read_inactive(file: Path) -> float:
    """What a list of numbers of bytes says of files that are not in use, with the groups below, in MB."""
    values = [0]
    with suppress(OSError, ValueError):
        for line in file.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                values.append(int(value))
    return max(values) / 1e6


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
    chunks grows for minutes by the gaps between them. Costs some page faults, fewer with huge pages. Of small
    ones more is kept than glibc would: to give them back again and again takes as long as to compute.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
