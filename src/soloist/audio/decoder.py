"""What a decoder is, and the checks that all share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from soloist.audio.blocks import Audio
from soloist.errors import AudioError


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file says of itself.

    Attributes:
        path: The file.
        duration: Length in seconds; an estimate where `samples` is None.
        samples: Length in samples, or None where the container does not say it to the sample.
        sample_rate: Rate in Hz.
        channels: Number of channels.
        container: Name of the file format, such as "wav" or "mp4".
        codec: Name of the coding, such as "pcm_24" or "aac".
        streams: Names of the audio streams: one for ordinary files, five for a `.stem.mp4`.
    """

    path: Path
    duration: float
    samples: int | None
    sample_rate: int
    channels: int
    container: str
    codec: str
    streams: tuple[str, ...] = ("audio",)


class Decoder(Protocol):
    """Turns one audio stream of a file into samples."""

    info: AudioInfo

    def decode(self, first: int) -> Iterator[Audio]:
        """Decode from sample `first` on, in arrays `(channels, any number of samples)` in [-1, 1].

        The samples are those of a decoding from the beginning, to the bit.

        Raises:
            AudioError: The file is corrupt, or ends before it should.
        """

    def close(self) -> None:
        """Close the file."""


def drop_first(parts: Iterator[Audio], count: int) -> Iterator[Audio]:
    """Leave out the first `count` samples of arrays `(channels, samples)`."""
    for part in parts:
        if count >= part.shape[1]:
            count -= part.shape[1]
            continue
        yield part[:, count:]
        count = 0


def truncation(path: Path, seconds: float, expected: float) -> AudioError:
    """The error for a file that ends before it says."""
    return AudioError(f"{path} is truncated: it ends at {seconds:.3f} s of {expected:.3f} s; copy it again")


def damage(path: Path, seconds: float, reason: object) -> AudioError:
    """The error for a file that cannot be decoded beyond some second."""
    return AudioError(f"{path} is truncated or corrupt: decoding stops at {seconds:.3f} s ({reason})")
