"""Mixtures of stems, of one song or of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from soloist.datasets import Corpus, StemTrack
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation, augment, samples_to_read
from soloist.mixing.example import Example, Mixer, generator, take_in_turn
from soloist.mixing.excerpt_reader import SourceParts, draw_start, longest, read_stem, whole_length

Place = tuple[StemTrack, float]
"""Track, and a time within it in seconds."""


class StemMixer(Mixer):
    """Mixer of the stems of songs: all stems of one song at one time, or of different songs.

    The mixture is the sum of all augmented stems, whether they belong to a source or not. Stems that a song
    does not have are silent.

    Args:
        corpus: Corpus of tracks with stems.
        split: Name of the split.
        sources: Names of stems or of unions: `accompaniment` (everything but vocals), `no_drums`, ...
        sample_rate: Sample rate of the examples, Hz.
        duration: Length of the examples, seconds; None for whole tracks.
        channels: Number of channels of the examples.
        coherence: Probability that all stems of an example are from the same track and time. Otherwise each
            stem is from another track and time (random track mixing).
        balance: `track` draws every track once before any again; `duration` draws every second of the split
            with the same probability.
        augmentations: Augmentations of the stems of each example, applied in turn.
        max_tracks: Largest number of songs to use, evenly spaced in the order of their names; None for all.
        seed: Seed of the examples.

    Raises:
        UsageError: The split has no such stem, or a value is out of range.
        AudioError: The duration of a file, for `balance`, cannot be read.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        sources: Sequence[str],
        sample_rate: int,
        duration: float | None = 6.0,
        channels: int = 2,
        coherence: float = 1.0,
        balance: Literal["track", "duration"] = "track",
        augmentations: Sequence[Augmentation] = (),
        max_tracks: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            sources=sources, sample_rate=sample_rate, channels=channels, seed=seed, duration=duration
        )
        if not 0 <= coherence <= 1:
            raise UsageError(f"coherence must be a probability from 0 to 1, not {coherence}")
        if duration is None and coherence < 1:
            raise UsageError("whole tracks differ in length: mix stems of several only with a duration")
        self.coherence = coherence
        self.augmentations = tuple(augmentations)
        self._tracks = corpus.tracks(split, max_tracks)
        self._parts = SourceParts(self.sources, self._tracks, f"the split {split!r} of {corpus}")
        self._shares = _shares(self._tracks) if balance == "duration" else None

    def __len__(self) -> int:
        return len(self._tracks)

    def draw(self, index: int) -> Example:
        """Draw example number `index`; see `Mixer.draw`."""
        rng = generator(self, self.seed, index)
        names = self._parts.stems
        if rng.random() < self.coherence:
            places = [self._place(rng, index)] * len(names)
            title = places[0][0].name
        else:
            places = [self._place(rng, index, stem) for stem in names]
            title = " + ".join(
                f"{stem} of {track.name}" for stem, (track, _) in zip(names, places, strict=True)
            )
        samples = self._samples(places[0][0])
        length = samples_to_read(self.augmentations, samples)
        stems = np.stack(
            [
                read_stem(track, stem, start, length, self.sample_rate, self.channels)
                for stem, (track, start) in zip(names, places, strict=True)
            ]
        )
        stems = augment(self.augmentations, stems, index)[..., :samples]
        return Example(stems.sum(axis=0), self._parts.references(stems), title)

    def _place(self, rng: np.random.Generator, index: int, stem: str = "") -> Place:
        """Draw a track and a time; each stem of an incoherent example takes the tracks in its own order."""
        if self._shares is None:
            track = self._tracks[take_in_turn(self, self.seed, index, len(self._tracks), stem)]
        else:
            track = self._tracks[rng.choice(len(self._tracks), p=self._shares)]
        if self.duration is None:
            return track, 0.0
        return track, draw_start(rng, longest(track.stems.values()), self.duration)

    def _samples(self, track: StemTrack) -> int:
        if self.duration is None:
            return whole_length(longest(track.stems.values()), self.sample_rate)
        return round(self.duration * self.sample_rate)


def _shares(tracks: Sequence[StemTrack]) -> np.ndarray:
    """Share of each track in the total duration."""
    durations = np.array([longest(track.stems.values()).duration for track in tracks])
    shares: np.ndarray = durations / durations.sum()
    return shares
