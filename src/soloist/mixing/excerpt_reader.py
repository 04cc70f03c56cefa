"""Excerpts of stems at the rate, the number of channels and the length that training wants."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from soloist.audio import Audio, resample_audio, to_channels
from soloist.datasets import Stem, StemTrack, components
from soloist.errors import AudioError, UsageError

SURROUNDINGS = 0.05
"""Seconds that are read on either side of an excerpt that is resampled: more than the filter needs."""


def read_excerpt(stem: Stem, start: float, samples: int, sample_rate: int, channels: int) -> Audio:
    """Read an excerpt of exactly `samples` samples; what lies beyond the end is silent.

    Only the excerpt is decoded, not the whole file.

    Args:
        stem: What to read.
        start: Where the excerpt begins, seconds.
        samples: Its length at `sample_rate`.
        sample_rate: Rate that is wanted, Hz; audio of another one is resampled.
        channels: Channels that are wanted: of one channel all are copies, more are averaged to one.

    Returns:
        `(channels, samples)`.

    Raises:
        AudioError: The stem cannot be read, or has neither one nor `channels` channels.
    """
    excerpt = np.zeros((channels, samples), np.float32)
    if 0 < start >= stem.duration:
        return excerpt
    if stem.sample_rate == sample_rate:
        audio, _ = stem.read(start, samples / sample_rate)
    else:
        audio = _read_resampled(stem, start, samples, sample_rate)
    if audio.shape[0] not in (1, channels) and channels > 1:
        raise AudioError(f"{stem} has {audio.shape[0]} channels, which are neither 1 nor {channels}")
    audio = to_channels(audio, channels)[:, :samples]
    excerpt[:, : audio.shape[1]] = audio
    return excerpt


def _read_resampled(stem: Stem, start: float, samples: int, sample_rate: int) -> Audio:
    """A stretch at another rate, as it would be in the whole stem: resampled with what is around it."""
    rate = stem.sample_rate
    common = rate // math.gcd(rate, sample_rate)  # Samples after which both rates have one at the same time.
    lead = math.ceil(SURROUNDINGS * rate / common) * common
    wanted = round(start * rate) - lead
    first = max(0, wanted)
    count = wanted - first + lead + math.ceil(samples * rate / sample_rate) + lead
    audio, _ = stem.read(first / rate, count / rate)
    audio = np.pad(audio, ((0, 0), (first - wanted, 0)))
    return resample_audio(audio, rate, sample_rate)[:, lead * sample_rate // rate :]


def whole_length(stem: Stem, sample_rate: int) -> int:
    """Samples of a whole stem at a sample rate."""
    # Rounded first: frames / rate * rate may come out a little above the number of frames.
    return max(1, math.ceil(round(stem.duration * sample_rate, 3)))


def draw_start(rng: np.random.Generator, stem: Stem, duration: float) -> float:
    """A time from which `duration` seconds can be read, each equally likely; 0 where the stem is shorter.

    It lies on a sample of the file, so that what is read does not depend on rounding.
    """
    latest = max(0, int((stem.duration - duration) * stem.sample_rate))
    return int(rng.integers(latest + 1)) / stem.sample_rate


def loudest_time(stem: Stem) -> float:
    """When the largest sample of a stem is heard, seconds; all of it is read.

    Raises:
        AudioError: The stem cannot be read.
    """
    length = 65536
    peaks = []
    for number, block in enumerate(stem.blocks(length)):
        magnitudes = np.abs(block).max(axis=0)
        place = int(magnitudes.argmax())
        peaks.append((float(magnitudes[place]), number * length + place))
    return max(peaks)[1] / stem.sample_rate


def level(signal: Audio) -> float:
    """Root mean square of a signal over all of its samples."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


class SourceParts:
    """The stems that occur in a split, and the sources as sums of them.

    Args:
        sources: Stems, or unions of them: `accompaniment` (everything but vocals), `no_drums`, ...
        tracks: The tracks of the split.
        where: The split and its corpus, for messages.

    Attributes:
        stems: Names of all stems that any of the tracks has.
        needed: Names of those that the sources are made of.

    Raises:
        UsageError: No track has what a source is made of.
    """

    def __init__(self, sources: Sequence[str], tracks: Sequence[StemTrack], where: str) -> None:
        self.stems = tuple(dict.fromkeys(name for track in tracks for name in track.stems))
        self._parts = [components(source, self.stems) for source in sources]
        self.needed = frozenset[str]().union(*self._parts)
        if missing := [source for source, parts in zip(sources, self._parts, strict=True) if not parts]:
            raise UsageError(f"{where} has no {missing[0]}: there are {', '.join(self.stems)}")

    def references(self, stems: Audio) -> Audio:
        """The sources `(sources, channels, samples)` from all `stems` `(stems, channels, samples)`."""
        places = [[self.stems.index(name) for name in parts] for parts in self._parts]
        return np.stack([stems[place].sum(axis=0) for place in places])


def read_stem(
    track: StemTrack, name: str, start: float, samples: int, sample_rate: int, channels: int
) -> Audio:
    """An excerpt of a stem as `read_excerpt` reads it; a stem that the track does not have is silent."""
    if name not in track.stems:
        return np.zeros((channels, samples), np.float32)
    return read_excerpt(track.stems[name], start, samples, sample_rate, channels)


def longest(stems: Collection[Stem]) -> Stem:
    """The stem that lasts longest."""
    return max(stems, key=lambda stem: stem.duration)
