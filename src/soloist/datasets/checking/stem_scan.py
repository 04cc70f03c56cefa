"""Block-by-block measurement of a stem: length, peak, clipping, and a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soloist.audio import Audio
from soloist.datasets.track import Stem, StemDifference, StemFile, StemSum
from soloist.errors import SoloistError

BLOCK = 65536
FULL_SCALE = 0.99
RUN = 3
"""Fewest equal samples in a row near full scale that count as clipped."""


@dataclass(frozen=True)
class StemFacts:
    """Measurements of a decoded stem.

    Attributes:
        name: Name in the track.
        file: Path of the stem; of several files, the unreadable one.
        sample_rate: Sample rate in Hz; 0 if unreadable.
        channels: Number of channels; 0 if unreadable.
        samples: Number of readable samples.
        peak: Largest magnitude.
        clipped: Number of samples in runs near full scale, over all channels.
        first_clipped: First sample of the first run; None without runs.
        fingerprint: Hash of all samples.
        failure: Reason why the file cannot be read; None if it can.
        missing: True if the file does not exist.
    """

    name: str
    file: str
    sample_rate: int
    channels: int
    samples: int
    peak: float
    clipped: int
    first_clipped: int | None
    fingerprint: bytes
    failure: str | None
    missing: bool


class StemScan:
    """Decoder of a stem that measures each block.

    Args:
        name: Name in the track.
        stem: The stem.
    """

    def __init__(self, name: str, stem: Stem) -> None:
        self._name = name
        self._stem = stem
        self._blocks: Iterator[Audio] | None = None
        self._sample_rate = self._channels = self._samples = 0
        self._peak = 0.0
        self._clipping = _Clipping()
        self._hash = hashlib.blake2b(digest_size=16)
        self._failure: str | None = None

    def next(self) -> Audio | None:
        """Decode and measure the next block `(channels, samples)`; None at the end or after an error."""
        try:
            if self._blocks is None:
                self._sample_rate = self._stem.sample_rate
                self._blocks = self._stem.blocks(BLOCK)
            block = next(self._blocks, None)
        except SoloistError as error:
            self._failure = str(error)
            self._blocks = iter(())
            return None
        if block is not None:
            self._measure(block)
        return block

    def facts(self) -> StemFacts:
        """Return the measurements, after the last block."""
        paths = _paths(self._stem)
        file, failure = str(self._stem), None
        if self._failure is not None:
            file, failure = _blame(self._failure, paths) or (file, f"cannot be read: {self._failure}")
        return StemFacts(
            name=self._name,
            file=file,
            sample_rate=self._sample_rate,
            channels=self._channels,
            samples=self._samples,
            peak=self._peak,
            clipped=self._clipping.count,
            first_clipped=self._clipping.first,
            fingerprint=self._hash.digest(),
            failure=failure,
            missing=failure is not None and not all(path.exists() for path in paths),
        )

    def _measure(self, block: Audio) -> None:
        peak = float(np.abs(block).max(initial=0.0))
        # The addition turns negative zeros into positive ones.
        self._hash.update((block + np.float32(0)).tobytes())
        self._clipping.add(block, peak)
        self._channels = block.shape[0]
        self._samples += block.shape[1]
        self._peak = max(self._peak, peak)


class _Clipping:
    """Counter of samples near full scale that repeat the samples before.

    Attributes:
        count: Number of the samples, over all channels.
        first: First sample of the first run; None without runs.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self._position = 0
        self._before: Audio | None = None

    def add(self, block: Audio, peak: float) -> None:
        """Count in the next block `(channels, samples)` with the given peak."""
        before = block[:, :0] if self._before is None else self._before
        audio = np.concatenate([before, block], axis=1)
        if peak >= FULL_SCALE and audio.shape[1] >= RUN:
            self._count(audio, self._position - before.shape[1])
        self._before = audio[:, 1 - RUN :].copy()
        self._position += block.shape[1]

    def _count(self, audio: Audio, start: int) -> None:
        runs = np.lib.stride_tricks.sliding_window_view(audio, RUN, axis=1)
        last = audio[:, RUN - 1 :]
        stuck = (np.abs(last) >= FULL_SCALE) & (runs[..., :-1] == last[..., None]).all(axis=-1)
        if stuck.any():
            self.count += int(stuck.sum())
            if self.first is None:
                self.first = start + int(stuck.any(axis=0).argmax())


def _blame(failure: str, paths: Sequence[Path]) -> tuple[str, str] | None:
    """Split the message of an error into the file at its beginning and the rest; None without a file."""
    return next(
        ((str(path), failure.removeprefix(f"{path} ")) for path in paths if failure.startswith(f"{path} ")),
        None,
    )


def _paths(stem: Stem) -> list[Path]:
    """List the files of a stem."""
    if isinstance(stem, StemDifference):
        return [path for part in (stem.whole, *stem.parts) for path in _paths(part)]
    if isinstance(stem, StemSum):
        return [path for part in stem.parts for path in _paths(part)]
    return [stem.path] if isinstance(stem, StemFile) else []
