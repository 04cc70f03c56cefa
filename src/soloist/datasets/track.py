"""Tracks and their stems, independent of storage, and targets as sums of stems."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from soloist.audio import Audio, AudioInfo, AudioReader, probe, read_audio, track_duration
from soloist.errors import AudioError

MIXTURE = "mixture"

_STEM_OF = {"accompaniment": "vocals", "harmonic": "drums", "percussive": "drums"}


class Stem(Protocol):
    """Interface of stems, of which any excerpt can be read: a file, a sum of files, a synthetic sound."""

    @property
    def duration(self) -> float:
        """Length in seconds."""

    @property
    def sample_rate(self) -> int:
        """Rate in Hz."""

    def read(self, start: float = 0.0, duration: float | None = None) -> tuple[Audio, int]:
        """Read an excerpt `(channels, samples)`, shorter at the end of the stem, and the rate in Hz.

        Raises:
            AudioError: The stem cannot be read, ends before `start`, or has samples that are not finite.
        """

    def blocks(self, length: int) -> Iterator[Audio]:
        """Read the whole stem in blocks `(channels, length)`; the last may be shorter.

        Raises:
            AudioError: The stem cannot be read, or has samples that are not finite.
        """


class _InBlocks(Protocol):
    """Sound that can be read in blocks."""

    def blocks(self, length: int) -> Iterator[Audio]:
        """Read the whole sound in blocks."""


@dataclass(frozen=True)
class StemFile:
    """Stem that is an audio stream of a file, or one channel of it.

    Attributes:
        path: The file.
        stream: Number of the audio stream, from 0.
        channel: Number of the channel, from 0; None for all.
    """

    path: Path
    stream: int = 0
    channel: int | None = None

    @property
    def duration(self) -> float:
        """Length in seconds."""
        with _naming(self.path):
            return _measure_once(self.path)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz."""
        with _naming(self.path):
            return _probe_once(self.path).sample_rate

    def read(self, start: float = 0.0, duration: float | None = None) -> tuple[Audio, int]:
        """Read an excerpt `(channels, samples)` and the rate in Hz; see `Stem.read`."""
        with _naming(self.path):
            audio, rate = read_audio(self.path, start=start, duration=duration, stream=self.stream)
            return self._select(audio), rate

    def blocks(self, length: int) -> Iterator[Audio]:
        """Read the whole stem in blocks; see `Stem.blocks`."""
        with _naming(self.path), AudioReader(self.path, stream=self.stream) as reader:
            for block in reader.blocks(length):
                yield self._select(block)

    def __str__(self) -> str:
        part = f" (stream {self.stream + 1})" if self.stream else ""
        return f"{self.path}{part}" if self.channel is None else f"{self.path} (channel {self.channel + 1})"

    def _select(self, audio: Audio) -> Audio:
        if self.channel is None:
            return audio
        if self.channel >= audio.shape[0]:
            raise AudioError(f"{self.path} has no channel {self.channel + 1}, only {audio.shape[0]}")
        return audio[self.channel : self.channel + 1]


@dataclass(frozen=True)
class StemSum:
    """Stem that is the sum of several, such as the guitars of a song in separate files."""

    parts: tuple[Stem, ...]

    @property
    def duration(self) -> float:
        """Length of the longest part in seconds."""
        return max(part.duration for part in self.parts)

    @property
    def sample_rate(self) -> int:
        """Rate in Hz."""
        return self.parts[0].sample_rate

    def read(self, start: float = 0.0, duration: float | None = None) -> tuple[Audio, int]:
        """Read an excerpt of the sum `(channels, samples)` and the rate in Hz; see `Stem.read`."""
        heard = [part for part in self.parts if part.duration > start] or [self.parts[0]]
        read = [part.read(start, duration) for part in heard]
        total = np.zeros((read[0][0].shape[0], max(audio.shape[1] for audio, _ in read)), np.float32)
        for audio, rate in read:
            if audio.shape[0] != total.shape[0] or rate != self.sample_rate:
                raise AudioError(f"the parts of {self} differ in rate or channels, so they have no sum")
            total[:, : audio.shape[1]] += audio
        return total, self.sample_rate

    def blocks(self, length: int) -> Iterator[Audio]:
        """Read the whole sum in blocks; see `Stem.blocks`."""
        yield from _sum_blocks(self.parts, length, str(self))

    def __str__(self) -> str:
        return " + ".join(str(part) for part in self.parts)


@dataclass(frozen=True)
class StemDifference:
    """Stem that is the rest of a recorded mixture: the mixture less other stems.

    Attributes:
        whole: The mixture.
        parts: Stems to take from it, of the same rate and channels.
    """

    whole: Stem
    parts: tuple[Stem, ...]

    @property
    def duration(self) -> float:
        """Length of the mixture in seconds."""
        return self.whole.duration

    @property
    def sample_rate(self) -> int:
        """Rate in Hz."""
        return self.whole.sample_rate

    def read(self, start: float = 0.0, duration: float | None = None) -> tuple[Audio, int]:
        """Read an excerpt of the rest `(channels, samples)` and the rate in Hz; see `Stem.read`."""
        rest, rate = self.whole.read(start, duration)
        rest = rest.copy()
        for part in self.parts:
            if part.duration <= start:
                continue
            audio, own_rate = part.read(start, duration)
            if audio.shape[0] != rest.shape[0] or own_rate != rate:
                raise AudioError(f"{self.whole} and {part} differ in rate or channels, so there is no rest")
            length = min(rest.shape[1], audio.shape[1])
            rest[:, :length] -= audio[:, :length]
        return rest, rate

    def blocks(self, length: int) -> Iterator[Audio]:
        """Read the whole rest in blocks; see `Stem.blocks`."""
        negated = tuple(_Negated(part) for part in self.parts)
        left = round(self.duration * self.sample_rate)
        for block in _sum_blocks((self.whole, *negated), length, str(self)):
            # A stem may be longer than the mixture, which says how long the rest is.
            yield block[:, :left]
            left -= block.shape[1]
            if left <= 0:
                return

    def __str__(self) -> str:
        return f"{self.whole} less {' and '.join(str(part) for part in self.parts)}"


@dataclass(frozen=True)
class _Negated:
    """Blocks of a stem, with inverted polarity."""

    stem: Stem

    def blocks(self, length: int) -> Iterator[Audio]:
        yield from (-block for block in self.stem.blocks(length))


@dataclass(frozen=True)
class StemTrack:
    """Recording with its stems.

    Attributes:
        name: Name in the corpus.
        stems: Stems by name, without the mixture.
        mixture: Recorded mixture; None if the mixture is the sum of the stems.
        labels: Speakers, or the class of a sound; see `Corpus.disjoint_labels`.
    """

    name: str
    stems: Mapping[str, Stem]
    mixture: Stem | None = None
    labels: tuple[str, ...] = ()

    def mixture_blocks(self, length: int = 65536) -> Iterator[Audio]:
        """Read the recorded mixture, or the sum of the stems, in blocks `(channels, samples)`.

        Raises:
            AudioError: A file cannot be read, or the stems cannot be added up.
        """
        if self.mixture is not None:
            yield from self.mixture.blocks(length)
        else:
            yield from _sum_blocks(
                tuple(self.stems.values()), length, f"the stems of {self.name}", strict=True
            )

    @property
    def sample_rate(self) -> int:
        """Sample rate of the mixture in Hz.

        Raises:
            AudioError: The file cannot be read.
        """
        return self._first.sample_rate

    @property
    def duration(self) -> float:
        """Length of the mixture in seconds.

        Raises:
            AudioError: The file cannot be read.
        """
        return self._first.duration

    @property
    def _first(self) -> Stem:
        return self.mixture or next(iter(self.stems.values()))


def with_rest(track: StemTrack, rest: str) -> StemTrack:
    """Add the rest of the mixture to the stems of a track that has a mixture and no such stem.

    Args:
        track: The track.
        rest: Name of the new stem.
    """
    if track.mixture is None or rest in track.stems:
        return track
    left = StemDifference(track.mixture, tuple(track.stems.values()))
    return replace(track, stems={**track.stems, rest: left})


def components(target: str, stems: Sequence[str]) -> tuple[str, ...]:
    """List the stems that add up to a target.

    A target is a stem or a union: `accompaniment` is everything but the vocals, `no_X` everything but X;
    `percussive` is the drums and `harmonic` everything else, as in evaluations of harmonic/percussive
    separation.

    Args:
        target: Name of a stem or of a union.
        stems: Names of the track's stems.

    Returns:
        Names of stems; empty if the track does not have the target.
    """
    if target in stems:
        return (target,)
    stem = _STEM_OF.get(target, target.removeprefix("no_"))
    if target == stem or stem not in stems:
        return ()
    others = tuple(name for name in stems if name != stem)
    return (stem,) if target == "percussive" else others


def sum_of(stems: Mapping[str, Audio], target: str) -> Audio:
    """Reference of a target: a stem, or the sum of the stems of a union."""
    parts = [stems[name] for name in components(target, tuple(stems))]
    return parts[0] if len(parts) == 1 else np.sum(np.stack(parts), axis=0)


def _sum_blocks(
    stems: tuple[_InBlocks, ...], length: int, what: str, strict: bool = False
) -> Iterator[Audio]:
    """Add up stems in blocks; shorter stems are padded with silence, or refused if `strict`."""
    with ExitStack() as opened:
        streams = [stem.blocks(length) for stem in stems]
        for stream in streams:
            opened.callback(getattr(stream, "close", lambda: None))
        for blocks in itertools.zip_longest(*streams):
            heard = [block for block in blocks if block is not None]
            samples = max(block.shape[1] for block in heard)
            if len({block.shape[0] for block in heard}) > 1 or (
                strict and {block is not None and block.shape[1] for block in blocks} != {samples}
            ):
                raise AudioError(f"{what} differ in length or channels, so they have no sum")
            total = np.zeros((heard[0].shape[0], samples), np.float32)
            for block in heard:
                total[:, : block.shape[1]] += block
            yield total


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the path of the file to errors, so that each file can be counted once."""
    try:
        yield
    except AudioError as error:
        error.path = str(path)
        raise


@lru_cache(maxsize=65536)
def _probe_once(path: Path) -> AudioInfo:
    """Read the header of a file once, since a training reads many excerpts of it."""
    return probe(path)


@lru_cache(maxsize=65536)
def _measure_once(path: Path) -> float:
    """Measure the length of a file once, s."""
    return track_duration(path)
