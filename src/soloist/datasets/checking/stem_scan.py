"""One pass over a stem, block by block: how long, how loud, whether it is clipped, and a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soloist.audio import Audio
from soloist.datasets.track import Stem, StemFile, StemSum
from soloist.errors import SoloistError

BLOCK = 65536
FULL_SCALE = 0.99
RUN = 3
"""So many equal samples in a row near full scale are no wave but a cut one."""


@dataclass(frozen=True)
class StemFacts:
    """What is known of a stem after it was decoded.

    Attributes:
        name: Its name in the track.
        file: Where it lies: of several files, the one that cannot be read.
        sample_rate: Rate in Hz; 0 if it cannot be read.
        channels: Number of channels; 0 if it cannot be read.
        samples: Number of samples that could be read.
        peak: Greatest magnitude.
        clipped: Number of samples that are stuck near full scale, over all channels.
        first_clipped: Sample at which the first run of them begins; None without any.
        fingerprint: The same for two stems only if all of their samples are.
        failure: What hinders the file from being read; None if nothing does.
        missing: Whether that is because there is no such file.
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
    """Decodes a stem and takes its measure.

    Args:
        name: Its name in the track.
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
        """The next block `(channels, samples)`, which is measured; None at the end, and where it breaks."""
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
        """What is known of the stem once all of its blocks were taken."""
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
        # Of the two zeros of floating point the addition leaves one.
        self._hash.update((block + np.float32(0)).tobytes())
        self._clipping.add(block, peak)
        self._channels = block.shape[0]
        self._samples += block.shape[1]
        self._peak = max(self._peak, peak)


class _Clipping:
    """Counts the samples near full scale that repeat those before them.

    Attributes:
        count: Their number, over all channels.
        first: Sample at which the first run of them begins; None without any.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self._position = 0
        self._before: Audio | None = None

    def add(self, block: Audio, peak: float) -> None:
        """Look at the next block `(channels, samples)`, whose greatest magnitude is known."""
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
    """The file that the message of an error begins with, and what it says of it."""
    return next(
        ((str(path), failure.removeprefix(f"{path} ")) for path in paths if failure.startswith(f"{path} ")),
        None,
    )


def _paths(stem: Stem) -> list[Path]:
    """The files that a stem is read from."""
    if isinstance(stem, StemSum):
        return [path for part in stem.parts for path in _paths(part)]
    return [stem.path] if isinstance(stem, StemFile) else []
