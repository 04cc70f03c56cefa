"""Places of decoded frames on the clock of a film: silence before late sound and in gaps."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

_LEAST = Fraction(15, 1000)
"""Shortest gap, s: more than time stamps are rounded by, less than a lost packet of any codec."""

_LONGEST_LOSS = 24 * 3600
"""Longest gap of a damaged file, s."""

_JUMP = 10
"""Least error of a time stamp, s, that is a new beginning of the clock; FFmpeg has the same limit."""

# Others, such as AVI, have no time stamps: FFmpeg computes them from sizes.
_STAMPED = frozenset({"matroska", "webm", "mov", "mpegts", "mpeg", "asf", "flv", "ogg", "nut"})


class Timeline:
    """Clock of a file, on which its sound stays with its picture.

    Time 0 is the earliest beginning of a picture or of a sound. Sound that begins later is late by silence,
    and so is sound after a gap in the time stamps (lost packets, pauses of a recorder). A file with one
    sound and no picture begins with its sound; in Matroska it has gaps, too.

    Args:
        container: The opened file.
        stream: The audio stream.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        names = set(container.format.name.split(","))
        pictures = [video for video in container.streams.video if not _is_cover(video)]
        others = [_start(other) for other in (*pictures, *container.streams.audio) if other is not stream]
        self._earliest = min((start for start in others if start is not None), default=None)
        self._fills = bool(names & _STAMPED) and bool(pictures or "matroska" in names)
        self._duration = Fraction(container.duration, av.time_base) if container.duration else None
        self._end = _end(container, pictures, self._duration)
        self._rate: int = stream.rate
        self._zero: Fraction | None = None
        begin = _start(stream)
        late = begin is not None and self._earliest is not None and begin - self._earliest
        self.delay = round(late * self._rate) if late and late > _LEAST else 0
        """Samples of silence before the sound, by the header."""

    def silence_before(self, frame: av.AudioFrame, position: int, *, least: float | None = None) -> int:
        """Samples of silence between `position`, in samples, and a frame.

        Args:
            frame: The frame.
            position: End of the sound so far, in samples.
            least: Longest gap in seconds that does not count, in a damaged file of any format. If None, gaps
                are those of a film.
        """
        if frame.pts is None or frame.time_base is None:
            return 0
        time, done = frame.pts * frame.time_base, Fraction(position, self._rate)
        first = self._zero is None
        if self._zero is None:
            self._zero = time - done if self._earliest is None else min(time - done, self._earliest)
        late = time - self._zero - done
        if least is not None:
            return round(min(late, Fraction(_LONGEST_LOSS)) * self._rate) if late > least else 0
        end = self._duration if first else self._end
        if late < -_JUMP or (late > _JUMP and (end is None or time - self._zero > end + _JUMP)):
            self._zero += late
            return 0
        return round(late * self._rate) if late > _LEAST and (first or self._fills) else 0


def _is_cover(video: Any) -> bool:
    """Tell whether a video stream is the picture of an album."""
    return bool(video.disposition & av.stream.Disposition.attached_pic)


def _start(stream: Any) -> Fraction | None:
    """Time stamp at which a stream begins, s."""
    return None if stream.start_time is None else stream.start_time * Fraction(stream.time_base)


def _end(container: Any, pictures: list[Any], duration: Fraction | None) -> Fraction | None:
    """Latest end of a gap, s: that of the film; None if the time stamps may begin anew (MPEG streams)."""
    if av.format.Flags.ts_discont in av.format.Flags(container.format.flags):
        return None
    ends = [video.duration * Fraction(video.time_base) for video in pictures if video.duration]
    return max(ends, default=duration)
