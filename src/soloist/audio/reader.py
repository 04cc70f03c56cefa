"""Block-wise reading of audio files in any format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from soloist.audio.blocks import LOUDEST, Audio, block_length, cut_blocks
from soloist.audio.decoder import AudioInfo, Remarks, Tolerance
from soloist.audio.opening import open_decoder
from soloist.errors import AudioError, UsageError


def probe(
    path: str | os.PathLike[str], *, stream: int | str = 0, tolerance: Tolerance = "nothing"
) -> AudioInfo:
    """Read the headers of an audio file, without decoding it.

    Args:
        path: The file.
        stream: Number of the audio stream in a multi-stream file, from 0, or its language or name.
        tolerance: Missing sound that is no error; see `AudioReader`.

    Raises:
        AudioError: The file is missing, empty, truncated by its header, or not audio.
        UsageError: There is no such stream, or the path is a pipe or a device.
    """
    decoder = open_decoder(Remarks(Path(path), tolerance), stream)
    decoder.close()
    return decoder.info


def read_audio(
    path: str | os.PathLike[str], *, start: float = 0.0, duration: float | None = None, stream: int | str = 0
) -> tuple[Audio, int]:
    """Read a file or an excerpt into memory; arguments and errors are those of `AudioReader`.

    Returns:
        The audio `(channels, samples)` and its sample rate in Hz.
    """
    with AudioReader(path, start=start, duration=duration, stream=stream) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.sample_rate


def track_duration(path: str | os.PathLike[str], *, stream: int | str = 0) -> float:
    """Measure the length of a file in seconds; only files of unknown length are decoded.

    Raises:
        AudioError: The file cannot be read.
    """
    with AudioReader(path, stream=stream) as reader:
        if reader.info.duration is not None:
            return reader.info.duration
        return sum(block.shape[1] for block in reader.blocks()) / reader.sample_rate


class AudioReader:
    """Reader of an audio stream in blocks of any length; memory does not depend on the duration.

    The encoder delay is removed: a track starts with the first sample of the recording. An excerpt begins
    exactly at sample `round(start * sample_rate)`, also with lossy codecs, and equals that part of the whole
    bit by bit. The sound of a film stays with its picture: silence stands before sound that begins later.

    Args:
        path: The file.
        start: Beginning of the excerpt, seconds.
        duration: Length of the excerpt, seconds; shorter if the file ends before. If None, read to the end.
        stream: Number of the audio stream in a multi-stream file, from 0, or its language or name.
        tolerance: Missing sound that is no error: "nothing"; "damage" within the file, which becomes silence;
            or also "truncation", a missing end.

    Attributes:
        info: Properties of the file.
        remarks: Wrong headers and missing sound, as far as the file was read.

    Raises:
        AudioError: The file is missing, empty, truncated, not audio, or ends before `start`.
        UsageError: `start` or `duration` is negative or not finite, there is no such stream, or the path is a
            pipe or a device.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float = 0.0,
        duration: float | None = None,
        stream: int | str = 0,
        tolerance: Tolerance = "nothing",
    ) -> None:
        if not 0 <= start < float("inf"):
            raise UsageError(f"start must be a time from 0 s on, not {start}")
        if duration is not None and not 0 < duration < float("inf"):
            raise UsageError(f"duration must be a positive time in seconds, not {duration}")
        self.remarks = Remarks(Path(path), tolerance)
        self._decoder = open_decoder(self.remarks, stream)
        self.info = self._decoder.info
        self._first = round(start * self.sample_rate)
        self._count = None if duration is None else max(1, round(duration * self.sample_rate))
        self._used = False
        if self.info.samples is not None and self._first >= self.info.samples:
            self.close()
            raise self._nothing_to_read()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def sample_rate(self) -> int:
        """Sample rate of the file, Hz."""
        return self.info.sample_rate

    @property
    def channels(self) -> int:
        """Number of channels of the file."""
        return self.info.channels

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def blocks(self, length: int | None = None) -> Iterator[Audio]:
        """Read blocks `(channels, samples)` in [-1, 1]; to be called once.

        Args:
            length: Samples per block; the last block may be shorter. If None, 65536, and fewer with many
                channels.

        Raises:
            AudioError: The file is truncated or corrupt, or has samples that are not finite.
            UsageError: The blocks were read before, or `length` is not positive.
        """
        length = block_length(self.channels) if length is None else length
        if length < 1:
            raise UsageError(f"length of a block must be positive, not {length}")
        if self._used:
            raise UsageError(f"the blocks of {self.info.path} were read before; open it again")
        self._used = True
        return cut_blocks(self._excerpt(), length)

    def _excerpt(self) -> Iterator[Audio]:
        position = self._first
        end = None if self._count is None else self._first + self._count
        for part in self._decoder.decode(self._first):
            part = part if end is None else part[:, : end - position]
            self._check_finite(part, position)
            position += part.shape[1]
            yield part
            if position == end:
                return
        if position == self._first:
            raise self._nothing_to_read()

    def _check_finite(self, part: Audio, position: int) -> None:
        sounds = np.abs(part) <= LOUDEST
        if sounds.all():
            return
        first = int(np.argmin(sounds.all(axis=0)))
        column = part[:, first]
        value = column[~sounds[:, first]][0]
        kind = f"of {value:.1e}" if np.isfinite(value) else "that is not a number or infinite"
        raise AudioError(
            f"{self.info.path} has a sample {kind} at {(position + first) / self.sample_rate:.3f} s; "
            "repair it first"
        )

    def _nothing_to_read(self) -> AudioError:
        if self._first == 0:
            return AudioError(f"{self.info.path} holds no samples")
        start = self._first / self.sample_rate
        lasts = "" if self.info.duration is None else f": it lasts {self.info.duration:.3f} s"
        return AudioError(f"{self.info.path} ends before {start:.3f} s{lasts}")
