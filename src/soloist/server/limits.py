"""Limits of the service: uploads, jobs, time, memory, disk."""

from __future__ import annotations

from dataclasses import dataclass

from soloist.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Attributes:
        upload: Largest upload, bytes.
        waiting: Most jobs that wait at once.
        keep: Hours after which finished jobs are deleted.
        disk: Bytes of all jobs on the disk; the oldest finished ones are deleted first.
        silence: Seconds without a byte after which an upload is given up.
        opening: Seconds in which a worker must have opened an upload.
        stall: Seconds without progress after which a separation is given up.
        memory: Bytes of memory that a worker may take.
        attempts: Number of times that a job is begun whose worker dies.

    Raises:
        UsageError: A limit is not positive.
    """

    upload: int = 2_000_000_000
    waiting: int = 1000
    keep: float = 24.0
    disk: int = 50_000_000_000
    silence: float = 30.0
    opening: float = 60.0
    stall: float = 900.0
    memory: int = 16_000_000_000
    attempts: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise UsageError(f"the limit {name!r} must be more than 0, not {value:g}")
