"""Memory of the process."""

from __future__ import annotations

import sys


def peak_memory() -> float | None:
    """The most memory that this process has held, in MB (10^6 bytes); None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
