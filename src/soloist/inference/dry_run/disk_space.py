"""Whether the disk has room for the stems of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from soloist.audio import WriteOptions, free_space, stem_space
from soloist.errors import AudioError


@dataclass(frozen=True)
class Room:
    """What stems take of the disk.

    Attributes:
        needed: The most at once, MB (10^6 bytes).
        kept: In the end, MB.
        available: What is there, MB; None where the system does not say.
    """

    needed: float
    kept: float
    available: float | None

    @property
    def lacking(self) -> str | None:
        """That it does not suffice, in one line with the way out; None where it does."""
        if self.available is None or self.needed <= self.available:
            return None
        return (
            f"the stems take up to {self.needed:.0f} MB of the disk while they are written, and "
            f"{self.available:.0f} MB are there: make room, or take another --output or --format"
        )


def room_for(
    paths: Mapping[str, Path],
    options: WriteOptions,
    *,
    streams: int,
    duration: float,
    sample_rate: int,
    channels: int,
) -> Room:
    """What the stems of a file take, and what is there.

    Args:
        paths: The file of each stem.
        options: How they are written.
        streams: How many there are, with the mixture where it is written too.
        duration: Seconds of them.
        sample_rate: Their rate, Hz.
        channels: Their channels.
    """
    most, end = (streams * size / 1e6 for size in stem_space(options, duration, sample_rate, channels))
    free = free_space(next(iter(paths.values())))
    return Room(most, end, None if free is None else free / 1e6)


def check_room(room: Room) -> None:
    """Refuse to begin what cannot be brought to its end.

    Raises:
        AudioError: The disk has no room for it.
    """
    if room.lacking:
        raise AudioError(room.lacking)
