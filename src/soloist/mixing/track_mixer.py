"""Recorded mixtures with their references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soloist.audio import Audio
from soloist.datasets import Corpus, StemTrack
from soloist.mixing.example import Example, Mixer, generator, take_in_turn
from soloist.mixing.excerpt_reader import (
    SourceParts,
    draw_start,
    longest,
    read_excerpt,
    read_stem,
    whole_length,
)


class TrackMixer(Mixer):
    """Reader of mixtures and references of corpora that have both: WSJ0-2mix, WHAM!, LibriMix, FUSS.

    The mixture is the recorded one and may hold more than the sources (noise, rooms). If a track has no file
    of the mixture, it is the sum of all stems. Every track is drawn once before any again. Sources that a
    track does not have are silent.

    Args:
        corpus: Corpus of tracks with stems.
        split: Name of the split.
        sources: Names of stems or of unions: `accompaniment` (everything but vocals), `no_noise`, ...
        sample_rate: Sample rate of the examples, Hz.
        duration: Length of the examples, seconds: a random excerpt of each track, padded with silence if the
            track is shorter. If None, whole tracks.
        channels: Number of channels of the examples.
        max_tracks: Largest number of tracks to use, evenly spaced in the order of their names; None for all.
        seed: Seed of the examples.

    Raises:
        UsageError: The split has no such stem, or the duration is out of range.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        sources: Sequence[str],
        sample_rate: int,
        duration: float | None = 4.0,
        channels: int = 1,
        max_tracks: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            sources=sources, sample_rate=sample_rate, channels=channels, seed=seed, duration=duration
        )
        self._tracks = corpus.tracks(split, max_tracks)
        self._parts = SourceParts(self.sources, self._tracks, f"the split {split!r} of {corpus}")

    def __len__(self) -> int:
        return len(self._tracks)

    def draw(self, index: int) -> Example:
        """Draw example number `index`; see `Mixer.draw`."""
        track = self._tracks[take_in_turn(self, self.seed, index, len(self._tracks))]
        whole = track.mixture or longest(track.stems.values())
        if self.duration is None:
            start, samples = 0.0, whole_length(whole, self.sample_rate)
        else:
            start = draw_start(generator(self, self.seed, index), whole, self.duration)
            samples = round(self.duration * self.sample_rate)
        stems = self._read_stems(track, start, samples)
        if track.mixture is None:
            mixture = stems.sum(axis=0)
        else:
            mixture = read_excerpt(track.mixture, start, samples, self.sample_rate, self.channels)
        return Example(mixture, self._parts.references(stems), track.name)

    def _read_stems(self, track: StemTrack, start: float, samples: int) -> Audio:
        """Read the stems of the sources, and all others if the mixture is their sum."""
        stems = np.zeros((len(self._parts.stems), self.channels, samples), np.float32)
        for place, name in enumerate(self._parts.stems):
            if track.mixture is None or name in self._parts.needed:
                stems[place] = read_stem(track, name, start, samples, self.sample_rate, self.channels)
        return stems
