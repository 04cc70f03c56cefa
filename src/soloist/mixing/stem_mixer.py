"""Mixtures of stems: songs as they are, or stems of different songs together."""

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
"""A track and a time in it, seconds."""


class StemMixer(Mixer):
    """Mixes the stems of songs, all of one song at one time or each of another.

    The mixture is the sum of all stems that the songs of the split have, after augmentation, whichever of
    them are asked for. A stem that a song does not have is silent.

    Args:
        corpus: Tracks with stems.
        split: Which of its splits.
        sources: Stems, or unions of them: `accompaniment` (everything but vocals), `no_drums`, ...
        sample_rate: Rate of the examples, Hz.
        duration: Length of the examples, seconds; None for whole tracks.
        channels: Channels of the examples.
        coherence: Probability that all stems of an example are from one track and one time. If not, each is
            from a track and a time of its own (random track mixing).
        balance: `track` takes every track once before any again; `duration` makes every second of the split
            equally likely.
        augmentations: Applied in turn to the stems of each example.
        max_tracks: How many songs of the split to use at most, at even distances in the order of their names;
            None for all.
        seed: Another seed draws other examples.

    Raises:
        UsageError: The split has no such stem, or a value is out of range.
        AudioError: A file cannot be read whose duration is needed for `balance`.
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
        """Example number `index`; see `Mixer.draw`."""
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
        """A track and a time in it; stems that are drawn one by one each go through the tracks in turn."""
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
    """The part of the whole duration that each track has."""
    durations = np.array([longest(track.stems.values()).duration for track in tracks])
    shares: np.ndarray = durations / durations.sum()
    return shares
