"""Layout of a file: its parts, and contradictions between its headers and its bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Range of a file that decodes by itself, or a gap.

    Attributes:
        start: First byte.
        end: End in bytes.
        prefix: Header in place of the bytes before `start`.
        samples: Length in samples, if it is not that of the header.
        delay: Samples before the recording, which are dropped; with FFmpeg only.
        by_ffmpeg: Decode with FFmpeg, because libsndfile reads such a part wrongly.
        damaged: The bytes are damaged: gaps in the time stamps are missing sound.
        missing: Samples that are missing here; the part has no bytes.
        rate: Rate in Hz at which `samples` and `missing` are counted, if the decoder may have another one.
        ends_at: Number of the sample after the part, if the part begins behind a gap of unknown length.
    """

    start: int
    end: int
    prefix: bytes = b""
    samples: int | None = None
    delay: int = 0
    by_ffmpeg: bool = False
    damaged: bool = False
    missing: int = 0
    rate: int = 0
    ends_at: int | None = None


@dataclass(frozen=True)
class Layout:
    """Parts of a file in their order.

    Attributes:
        parts: The parts.
        notes: Wrong figures of headers that cost no sound, as a clause each ("its header ...").
        truncation: Clause that says where the file ends too early; None if it is complete.
    """

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    truncation: str | None = None
