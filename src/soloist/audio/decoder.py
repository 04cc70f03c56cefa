"""Interface of decoders, properties of a file, and errors that all decoders share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from soloist.audio.blocks import Audio
from soloist.errors import AudioError


@dataclass(frozen=True)
class AudioInfo:
    """Properties of an audio file by its header.

    Attributes:
        path: The file.
        duration: Length in seconds; an estimate if `samples` is None.
        samples: Length in samples; None if the container does not state it exactly.
        sample_rate: Sample rate in Hz.
        channels: Number of channels.
        container: Name of the file format, such as "wav" or "mp4".
        codec: Name of the coding, such as "pcm_24" or "aac".
        streams: Names of the audio streams: one for ordinary files, five for a `.stem.mp4`.
        languages: Language of each stream by ISO 639, such as "eng"; empty if not stated.
        stream: Number of the described stream, from 0.
    """

    path: Path
    duration: float
    samples: int | None
    sample_rate: int
    channels: int
    container: str
    codec: str
    streams: tuple[str, ...] = ("audio",)
    languages: tuple[str, ...] = ("",)
    stream: int = 0


class Decoder(Protocol):
    """Decoder of one audio stream of a file."""

    info: AudioInfo

    def decode(self, first: int) -> Iterator[Audio]:
        """Decode from sample `first` on, in arrays `(channels, samples)` of any length in [-1, 1].

        The samples equal those of a decoding from the beginning, bit by bit.

        Raises:
            AudioError: The file is corrupt or truncated.
        """

    def close(self) -> None:
        """Close the file."""


def drop_first(parts: Iterator[Audio], count: int) -> Iterator[Audio]:
    """Drop the first `count` samples of consecutive arrays `(channels, samples)`."""
    for part in parts:
        if count >= part.shape[1]:
            count -= part.shape[1]
            continue
        yield part[:, count:]
        count = 0


def truncation(path: Path, seconds: float, expected: float) -> AudioError:
    """Error for a file that ends before the length in its header."""
    return AudioError(f"{path} is truncated: it ends at {seconds:.3f} s of {expected:.3f} s; copy it again")


def damage(path: Path, seconds: float, reason: object) -> AudioError:
    """Error for a file that cannot be decoded beyond some second."""
    return AudioError(f"{path} is truncated or corrupt: decoding stops at {seconds:.3f} s ({reason})")
