"""Self-test: a short song is written and read in each format, and separated on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from soloist.audio import Audio, StemWriter, WriteOptions, read_audio
from soloist.audio.file_formats import Format
from soloist.datasets import synthesize_band
from soloist.errors import SoloistError, explain
from soloist.files import scratch_folder
from soloist.inference.engines import find_device
from soloist.inference.separation import separate

MODEL = "tiny-tfc-tdf-songs"
"""Trained model that is part of Soloist."""

SECONDS = 3.0
_RATE = 48000
"""Rate that every format holds, Hz."""

_FORMATS: tuple[Format, ...] = ("wav", "flac", "mp3", "ogg", "opus", "m4a")
"""Formats of one stream, of which the format of several has one encoder, too."""

_LOUDER = 0.1
"""Largest change of the level of a song by writing it, as a part: lossy formats are inexact."""

_EXACT = -90.0
"""Highest level of the song minus its stems, dB relative to full scale."""


@dataclass(frozen=True)
class Check:
    """Result of one part of the self-test.

    Attributes:
        name: The format, or the device.
        told: Time that it took, or the reason of the failure.
        passed: True without a failure.
    """

    name: str
    told: str
    passed: bool = True


def check_formats() -> list[Check]:
    """Write a song in each format, and read it again."""
    with scratch_folder() as folder:
        song = _song()
        return [_check(name, partial(_write_and_read, name, song, folder)) for name in _FORMATS]


def check_separation(device: str = "auto") -> Check:
    """Separate a song on a device; its stems and the rest must add up to it."""
    return _check(find_device(device), lambda: _separate(_song(), device))


def _song() -> Audio:
    """Song of the synthetic band, `(2, samples)`."""
    return np.sum(list(synthesize_band(SECONDS, sample_rate=_RATE).values()), axis=0, dtype=np.float32)


def _check(name: str, test: Callable[[], str]) -> Check:
    try:
        return Check(name, test())
    except Exception as error:  # Whatever is broken on a machine, the others are checked.
        return Check(name, explain(error), passed=False)


def _write_and_read(name: Format, song: Audio, folder: Path) -> str:
    options, begun = WriteOptions(name), time.perf_counter()
    path = folder / f"song.{options.extension}"
    with StemWriter({"song": path}, _RATE, len(song), options) as writer:
        writer.write(song[None])
        writer.commit()
    found, rate = read_audio(path)
    if (found.shape, rate) != (song.shape, _RATE):
        raise SoloistError(f"{found.shape} samples at {rate} Hz were read, not {song.shape} at {_RATE} Hz")
    if not abs(found.std() / song.std() - 1) < _LOUDER:
        raise SoloistError(f"a song of level {song.std():.3f} has level {found.std():.3f} when it is read")
    return f"{time.perf_counter() - begun:.2f} s"


def _separate(song: Audio, device: str) -> str:
    begun = time.perf_counter()
    report = separate(song, _RATE, model=MODEL, residual=True, device=device, engine="torch").report
    seconds = time.perf_counter() - begun
    if report.null_dbfs is None or not report.null_dbfs < _EXACT:
        raise SoloistError(f"the stems differ from the song by {report.null_dbfs} dBFS")
    return f"{SECONDS:g} s of music in {seconds:.1f} s"
