"""How much of the disk stems take, before they are written."""

from __future__ import annotations

import shutil
from pathlib import Path

from soloist.audio.file_formats import WriteOptions, encoding_bitrate, encoding_rate

_FLOAT = 4
_VORBIS, _VARIES = 144_000, 1.25
"""Bit/s of a channel of Ogg Vorbis where none is asked for, and how far noise exceeds one that is."""


def stem_space(
    options: WriteOptions, duration: float, sample_rate: int, channels: int
) -> tuple[float, float]:
    """The most bytes that a stem takes of the disk, while it is written and in the end.

    Everything but float WAV is kept as float beside the file until it is encoded; see `StemWriter`.

    Args:
        options: How it is written.
        duration: Seconds.
        sample_rate: Hz.
        channels: Channels.
    """
    rate = encoding_rate(options, sample_rate)
    kept = duration * rate * channels * _FLOAT
    if options.is_float:
        return kept, kept
    if options.sample_bits:
        encoded = duration * rate * channels * options.sample_bits / 8
    elif options.format == "ogg":
        encoded = duration * (_VARIES * 1000 * options.bitrate if options.bitrate else channels * _VORBIS) / 8
    else:
        encoded = duration * encoding_bitrate(options, rate, channels) / 8
    return kept + encoded, encoded


def free_space(path: Path) -> float | None:
    """Bytes that are left on the disk where a file would lie; None where the system does not say."""
    folder = next((parent for parent in path.absolute().parents if parent.is_dir()), None)
    try:
        return None if folder is None else float(shutil.disk_usage(folder).free)
    except OSError:
        return None
