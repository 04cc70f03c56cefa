"""What is known of an audio file before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
