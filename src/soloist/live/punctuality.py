"""Blocks of a stream that are ready in time, and those that are not."""

from __future__ import annotations

import time
from collections.abc import Callable


class Punctuality:
    """Counts the blocks of a real-time stream that were not ready when they were due, and measures the load.

    A block is due one block's length after it came. A block that was there before it was asked for came when
    the one before was due: a stream that has fallen behind stays so until it has caught up. Whatever comes
    faster than in real time is late only if it is separated slower than that.

    Args:
        clock: Seconds of a monotonic clock.

    Attributes:
        dropped: Blocks that were not ready in time.
        busy: Seconds of work.
        seconds: Seconds of sound.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: float | None = None
        self._begun = 0.0
        self.dropped = 0
        self.busy = self.seconds = 0.0
        self._recent = [0.0, 0.0]

    def begin(self, seconds: float, *, waited: bool) -> None:
        """Begin with a block.

        Args:
            seconds: Length of the block, s.
            waited: True if the block was not there yet when it was asked for.
        """
        self._begun = self._clock()
        behind = self._due is not None and not waited
        self._due = (self._due if behind and self._due is not None else self._begun) + seconds
        self.seconds += seconds
        self._recent[1] += seconds

    def end(self) -> None:
        """End the work on a block."""
        now = self._clock()
        self.busy += now - self._begun
        self._recent[0] += now - self._begun
        self.dropped += self._due is not None and now > self._due

    def load(self) -> float:
        """Part of the time that the work took since the last call."""
        busy, seconds = self._recent
        self._recent = [0.0, 0.0]
        return busy / seconds if seconds else 0.0
