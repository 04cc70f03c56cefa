"""Excerpts of stems at a given sample rate, number of channels and length, and sources as sums of stems."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from soloist.audio import Audio, resample_audio, to_channels
from soloist.datasets import Stem, StemTrack, components
from soloist.errors import AudioError, UsageError

SURROUNDINGS = 0.05
"""Margin on either side of an excerpt to be resampled, seconds; longer than the filter."""


def read_excerpt(stem: Stem, start: float, samples: int, sample_rate: int, channels: int) -> Audio:
    """Read an excerpt of exactly `samples` samples, padded with silence at the end of the stem.

    Only the excerpt is decoded, not the whole file.

    Args:
        stem: The stem.
        start: Beginning of the excerpt, seconds.
        samples: Length of the excerpt at `sample_rate`.
        sample_rate: Sample rate of the result, Hz; audio of another rate is resampled.
        channels: Channels of the result; mono is copied to each, several are averaged to one.

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
    """Read an excerpt at another rate, resampled with its surroundings, as if the whole stem were."""
    rate = stem.sample_rate
    common = rate // math.gcd(rate, sample_rate)  # Period after which samples of both rates coincide.
    lead = math.ceil(SURROUNDINGS * rate / common) * common
    wanted = round(start * rate) - lead
    first = max(0, wanted)
    count = wanted - first + lead + math.ceil(samples * rate / sample_rate) + lead
    audio, _ = stem.read(first / rate, count / rate)
    audio = np.pad(audio, ((0, 0), (first - wanted, 0)))
    return resample_audio(audio, rate, sample_rate)[:, lead * sample_rate // rate :]


def whole_length(stem: Stem, sample_rate: int) -> int:
    """Length of a whole stem at a sample rate, samples."""
    # Rounded first: frames / rate * rate may be slightly larger than the number of frames.
    return max(1, math.ceil(round(stem.duration * sample_rate, 3)))


def draw_start(rng: np.random.Generator, stem: Stem, duration: float) -> float:
    """Draw a time, uniformly, from which `duration` seconds can be read; 0 if the stem is shorter.

    The time is a whole number of samples of the file, so that reading does not depend on rounding.
    """
    latest = max(0, int((stem.duration - duration) * stem.sample_rate))
    return int(rng.integers(latest + 1)) / stem.sample_rate


def loudest_time(stem: Stem) -> float:
    """Find the time of the largest sample of a stem, seconds; reads the whole stem.

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
    """Stems of a split, and the sources as sums of stems.

    Args:
        sources: Names of stems or of unions: `accompaniment` (everything but vocals), `no_drums`, ...
        tracks: Tracks of the split.
        where: Name of the split and its corpus, for messages.

    Attributes:
        stems: Names of the stems of all tracks.
        needed: Names of the stems that occur in a source.

    Raises:
        UsageError: No track has a stem of a source.
    """

    def __init__(self, sources: Sequence[str], tracks: Sequence[StemTrack], where: str) -> None:
        self.stems = tuple(dict.fromkeys(name for track in tracks for name in track.stems))
        self._parts = [components(source, self.stems) for source in sources]
        self.needed = frozenset[str]().union(*self._parts)
        if missing := [source for source, parts in zip(sources, self._parts, strict=True) if not parts]:
            raise UsageError(f"{where} has no {missing[0]}: there are {', '.join(self.stems)}")

    def references(self, stems: Audio) -> Audio:
        """Add up the sources `(sources, channels, samples)` from all `stems` `(stems, channels, samples)`."""
        places = [[self.stems.index(name) for name in parts] for parts in self._parts]
        return np.stack([stems[place].sum(axis=0) for place in places])


def read_stem(
    track: StemTrack, name: str, start: float, samples: int, sample_rate: int, channels: int
) -> Audio:
    """Read an excerpt of a stem, see `read_excerpt`; silence if the track has no such stem."""
    if name not in track.stems:
        return np.zeros((channels, samples), np.float32)
    return read_excerpt(track.stems[name], start, samples, sample_rate, channels)


def longest(stems: Collection[Stem]) -> Stem:
    """Find the longest stem."""
    return max(stems, key=lambda stem: stem.duration)
