"""Mixtures of stems: songs as they are, or stems of different songs together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from soloist.datasets.corpus import Corpus
from soloist.datasets.targets import components, sum_of
from soloist.datasets.track import Stem, StemTrack
from soloist.errors import UsageError
from soloist.mixing.augment.base import Augmentation, augment, samples_to_read
from soloist.mixing.example import Example, Mixer, Signal, generator, take_in_turn
from soloist.mixing.excerpts import draw_start, read_excerpt, whole_length

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
        seed: int = 0,
    ) -> None:
        super().__init__(sources=sources, sample_rate=sample_rate, channels=channels, seed=seed)
        if not 0 <= coherence <= 1:
            raise UsageError(f"coherence must be a probability from 0 to 1, not {coherence}")
        if duration is None and coherence < 1:
            raise UsageError("whole tracks differ in length: mix stems of several only with a duration")
        if duration is not None and not duration * sample_rate >= 1:
            raise UsageError(f"duration must be a positive time in seconds, not {duration}")
        self.duration = duration
        self.coherence = coherence
        self.augmentations = tuple(augmentations)
        self._tracks = corpus.tracks(split)
        self._shares = _shares(self._tracks) if balance == "duration" else None
        self._stems = tuple(dict.fromkeys(name for track in self._tracks for name in track.stems))
        if missing := [name for name in self.sources if not components(name, self._stems)]:
            raise UsageError(
                f"the split {split!r} of {corpus} has no {missing[0]}: there are {', '.join(self._stems)}"
            )

    def __len__(self) -> int:
        return len(self._tracks)

    def draw(self, index: int) -> Example:
        """Example number `index`; see `Mixer.draw`."""
        rng = generator(self, self.seed, index)
        if rng.random() < self.coherence:
            place = self._place(rng, index)
            places, name = [place] * len(self._stems), place[0].name
        else:
            places = [self._place(rng, index, stem) for stem in self._stems]
            heard = zip(self._stems, places, strict=True)
            name = " + ".join(f"{stem} of {track.name}" for stem, (track, _) in heard)
        samples = self._samples(places[0][0])
        length = samples_to_read(self.augmentations, samples)
        stems = np.stack(
            [self._read(stem, place, length) for stem, place in zip(self._stems, places, strict=True)]
        )
        stems = augment(self.augmentations, stems, index)[..., :samples]
        by_name = dict(zip(self._stems, stems, strict=True))
        references = np.stack([sum_of(by_name, source) for source in self.sources])
        return Example(stems.sum(axis=0), references, name)

    def _place(self, rng: np.random.Generator, index: int, stem: str = "") -> Place:
        """A track and a time in it; stems that are drawn one by one each go through the tracks in turn."""
        if self._shares is None:
            track = self._tracks[take_in_turn(self, self.seed, index, len(self._tracks), stem)]
        else:
            track = self._tracks[rng.choice(len(self._tracks), p=self._shares)]
        return track, 0.0 if self.duration is None else draw_start(rng, _longest(track), self.duration)

    def _samples(self, track: StemTrack) -> int:
        if self.duration is None:
            return whole_length(_longest(track), self.sample_rate)
        return round(self.duration * self.sample_rate)

    def _read(self, name: str, place: Place, samples: int) -> Signal:
        track, start = place
        if name not in track.stems:
            return np.zeros((self.channels, samples), np.float32)
        return read_excerpt(track.stems[name], start, samples, self.sample_rate, self.channels)


def _longest(track: StemTrack) -> Stem:
    return max(track.stems.values(), key=lambda stem: stem.duration)


def _shares(tracks: Sequence[StemTrack]) -> np.ndarray:
    """The part of the whole duration that each track has."""
    durations = np.array([_longest(track).duration for track in tracks])
    shares: np.ndarray = durations / durations.sum()
    return shares
