"""Disk space of the stems of a file."""

from __future__ import annotations

from dataclasses import dataclass

from soloist.errors import AudioError


@dataclass(frozen=True)
class DiskSpace:
    """Disk space of the stems of a file, in MB (10^6 bytes).

    Attributes:
        needed: Upper bound while the stems are written; None if the length of the file is unknown.
        kept: Upper bound of the finished stems; None if the length of the file is unknown.
        available: Free space; None if the system does not say.
    """

    needed: float | None
    kept: float | None
    available: float | None

    def check(self) -> None:
        """Refuse to begin what the disk has no room for.

        Raises:
            AudioError: The disk has no room for the stems.
        """
        if self.available is not None and self.needed is not None and self.needed > self.available:
            raise AudioError(
                f"the stems take up to {self.needed:.0f} MB of the disk while they are written, and "
                f"{self.available:.0f} MB are there: make room, or take another --output or --format"
            )
