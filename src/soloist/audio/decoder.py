"""Interface of decoders, properties of a file, and errors that all decoders share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from soloist.audio.blocks import Audio, block_length
from soloist.audio.track_choice import stream_titles
from soloist.errors import AudioError, UsageError

Tolerance = Literal["nothing", "damage", "truncation"]
"""Missing sound that is no error: none, within a file, or also at its end."""

WAY_OUT = "copy it again, or separate the rest with --keep-going"
"""Advice for a truncated file."""

_MOST_VALUES = 12_500_000
"""Most samples of all channels in a second: 260 channels at 48 kHz, 1 at 12.5 MHz; chunks have seconds."""


@dataclass(frozen=True)
class AudioInfo:
    """Properties of an audio file by its header.

    Attributes:
        path: The file.
        duration: Length in seconds; an estimate if `samples` is None, and None if unknown.
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
    duration: float | None
    samples: int | None
    sample_rate: int
    channels: int
    container: str
    codec: str
    streams: tuple[str, ...] = ("audio",)
    languages: tuple[str, ...] = ("",)
    stream: int = 0

    @property
    def titles(self) -> list[str]:
        """Numbers of the audio streams from 1, with names and languages: `2 commentary (eng)`."""
        return stream_titles(self.streams, self.languages)


@dataclass
class Remarks:
    """Differences between a file and its header, found when it is opened and decoded.

    Attributes:
        path: The file.
        tolerance: Missing sound that is noted; other missing sound is an error.
        notes: Lines about wrong headers that cost no sound.
        losses: Lines about missing sound within the file.
        truncation: Line about the missing end; None if the end exists.
    """

    path: Path
    tolerance: Tolerance = "nothing"
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    truncation: str | None = None

    def __post_init__(self) -> None:
        if self.tolerance not in get_args(Tolerance):
            choices = ", ".join(get_args(Tolerance))
            raise UsageError(f"tolerance must be one of {choices}, not {self.tolerance!r}")

    def note(self, clause: str) -> None:
        """Note a wrong header that costs no sound."""
        self.notes.append(f"{self.path}: {clause}")

    def lose(self, begin: float, seconds: float, error: AudioError | None = None) -> None:
        """Note a gap within the file, which the decoder fills with silence.

        Args:
            begin: Beginning of the gap in seconds.
            seconds: Length of the gap.
            error: Error of the decoder, if it raised one.

        Raises:
            AudioError: Damage is not tolerated.
        """
        if self.tolerance == "nothing":
            raise error or damage(self.path, begin, f"{seconds:.3f} s are missing")
        self.losses.append(
            f"{self.path} is damaged: {seconds:.3f} s are missing at {begin:.3f} s, and replaced by silence"
        )

    def end_early(self, error: AudioError) -> None:
        """Note that the end is missing.

        Raises:
            AudioError: Truncation is not tolerated.
        """
        if self.tolerance != "truncation":
            raise error
        self.truncation = self.truncation or str(error).removesuffix(f"; {WAY_OUT}")


class Decoder(Protocol):
    """Decoder of one audio stream of a file.

    Attributes:
        info: Properties of the file.
        remarks: Differences between the file and its header.
    """

    info: AudioInfo
    remarks: Remarks

    def decode(self, first: int) -> Iterator[Audio]:
        """Decode from sample `first` on, in arrays `(channels, samples)` of any length in [-1, 1].

        The samples equal those of a decoding from the beginning, bit by bit.

        Raises:
            AudioError: The file is corrupt or truncated, and `remarks` does not tolerate it.
        """

    def close(self) -> None:
        """Close the file."""


def check_plausible(info: AudioInfo) -> None:
    """Refuse a file a second of which takes too much memory, as damaged headers make believe.

    Raises:
        AudioError: The file has too many samples in a second, or none.
    """
    if not 1 <= info.channels * info.sample_rate <= _MOST_VALUES:
        raise AudioError(
            f"{info.path} is damaged, or must be split: its header states {info.channels} channels at "
            f"{info.sample_rate} Hz, more than {_MOST_VALUES / 1e6:g} million samples a second"
        )


def drop_first(parts: Iterator[Audio], count: int) -> Iterator[Audio]:
    """Drop the first `count` samples of consecutive arrays `(channels, samples)`."""
    for part in parts:
        if count >= part.shape[1]:
            count -= part.shape[1]
            continue
        yield part[:, count:]
        count = 0


def silence(channels: int, samples: int) -> Iterator[Audio]:
    """Make silence `(channels, samples)` in blocks."""
    while samples > 0:
        block = min(samples, block_length(channels))
        yield np.zeros((channels, block), np.float32)
        samples -= block


def truncation(path: Path, seconds: float, expected: float | None) -> AudioError:
    """Error for a file that ends before the length in its header."""
    of = "" if expected is None else f" of {expected:.3f} s"
    return AudioError(f"{path} is truncated: it ends at {seconds:.3f} s{of}; {WAY_OUT}")


def damage(path: Path, seconds: float, reason: object) -> AudioError:
    """Error for a file that cannot be decoded beyond some second."""
    return AudioError(
        f"{path} is truncated or corrupt: decoding stops at {seconds:.3f} s ({reason}); {WAY_OUT}"
    )
