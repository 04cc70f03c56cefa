"""Mixtures of a sound with noise, such as speech in a street."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soloist.audio import Audio
from soloist.datasets import Corpus, Stem, StemSum, StemTrack
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation, augment, samples_to_read
from soloist.mixing.clip_reader import AUDIBLE, ClipReader
from soloist.mixing.example import Example, Mixer, generator, take_in_turn
from soloist.mixing.excerpt_reader import level

_SOFTER = 10.0
"""Largest distance of the second noise from the first, dB."""


class NoiseMixer(Mixer):
    """Mixer of clips with noises of other corpora, at random ratios and levels.

    All clips are taken in turn, so that each is heard equally often; of the noises, first the corpus and then
    the track is drawn. A noise is the sum of all stems of its track, so that songs can be noises, too. Clip
    and noise are audible somewhere in the example. A second noise, softer by up to 10 dB, may join the first.

    Args:
        corpus: Corpus of the clips, tracks with a single stem.
        noises: Corpora of the noises.
        split: Name of the split, which all corpora have.
        sources: Name of the clip's source; with a second name, the noise is a source as well.
        sample_rate: Sample rate of the examples, Hz.
        priors: Relative probability of each corpus of noises; None for equal ones.
        duration: Length of the examples, seconds.
        channels: Number of channels of the examples.
        snr: Range of the ratio of the clip's energy to that of the noise over the whole example, dB, drawn
            uniformly.
        peak: Range of the peak of the mixtures, dB of full scale, drawn uniformly.
        gap: Longest pause, seconds, after which another clip of the same label follows a short one; see
            `ClipMixer`.
        augmentations: Augmentations of clip and noise, applied in turn before `snr` and `peak`.
        noise_augmentations: Augmentations of each noise alone, before those.
        second: Probability of a second noise.
        max_tracks: Largest number of clips, and of noises of each corpus, evenly spaced in the order of their
            names; None for all.
        seed: Seed of the examples.

    Raises:
        UsageError: There are no corpora of noises, not as many priors, other than one or two sources, or a
            value is out of range.
    """

    def __init__(
        self,
        corpus: Corpus,
        noises: Sequence[Corpus],
        split: str,
        *,
        sources: Sequence[str],
        sample_rate: int,
        priors: Sequence[float] | None = None,
        duration: float = 3.0,
        channels: int = 1,
        snr: tuple[float, float] = (-5.0, 15.0),
        peak: tuple[float, float] = (-30.0, -1.0),
        gap: float | None = 0.2,
        augmentations: Sequence[Augmentation] = (),
        noise_augmentations: Sequence[Augmentation] = (),
        second: float = 0.0,
        max_tracks: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            sources=sources, sample_rate=sample_rate, channels=channels, seed=seed, duration=duration
        )
        self._check(noises, priors, snr, peak, gap, second)
        self.snr = snr
        self.peak = peak
        self.augmentations = tuple(augmentations)
        self.noise_augmentations = tuple(noise_augmentations)
        self.second = second
        self._samples = round(duration * sample_rate)
        length = samples_to_read(self.augmentations, self._samples)
        self._reader = ClipReader(length, sample_rate, channels, gap)
        noise_length = samples_to_read(self.noise_augmentations, length)
        self._noise_reader = ClipReader(noise_length, sample_rate, channels, gap)
        self._clips = _Pool(corpus.tracks(split, max_tracks))
        self._noises = [_Pool(each.tracks(split, max_tracks)) for each in noises]
        weights = np.ones(len(noises)) if priors is None else np.array(priors)
        self._priors = weights / weights.sum()

    def _check(
        self,
        noises: Sequence[Corpus],
        priors: Sequence[float] | None,
        snr: tuple[float, float],
        peak: tuple[float, float],
        gap: float | None,
        second: float,
    ) -> None:
        if len(self.sources) not in (1, 2):
            raise UsageError(f"a clip in noise is one source, or two with the noise, not {len(self.sources)}")
        if not noises or (priors is not None and len(priors) != len(noises)):
            raise UsageError(f"noises needs a corpus or more, and priors as many, not {len(priors or ())}")
        if priors is not None and not all(0 < prior < float("inf") for prior in priors):
            raise UsageError(f"priors must be positive, not {', '.join(map(str, priors))}")
        if not (snr[0] <= snr[1] and peak[0] <= peak[1] <= 0) or (gap is not None and not gap >= 0):
            raise UsageError(f"snr {list(snr)} dB, peak {list(peak)} dB or gap {gap} s is out of range")
        if not 0 <= second <= 1:
            raise UsageError(f"second must be a probability from 0 to 1, not {second}")

    def __len__(self) -> int:
        return len(self._clips.tracks)

    def draw(self, index: int) -> Example:
        """Draw example number `index`; see `Mixer.draw`.

        Raises:
            AudioError: A clip or a noise cannot be read, or is silent.
        """
        rng = generator(self, self.seed, index)
        clip = self._clips.tracks[take_in_turn(self, self.seed, index, len(self))]
        chosen = [self._choose(rng) for _ in range(1 + (self.second > 0 and rng.random() < self.second))]
        heard = self._hear(self._reader, clip, self._clips, rng)
        noise = self._add_up([self._hear(self._noise_reader, *each, rng) for each in chosen], rng, index)
        both = np.stack([heard, noise[..., : heard.shape[-1]]])
        parts = augment(self.augmentations, both, index)[..., : self._samples]
        # After the augmentations: a clip whose end they cut off may be quiet.
        wanted = max(level(parts[0]), AUDIBLE) / 10 ** (rng.uniform(*self.snr) / 20)
        parts[1] *= wanted / max(level(parts[1]), AUDIBLE)
        mixture = parts.sum(axis=0)
        gain = np.float32(10 ** (rng.uniform(*self.peak) / 20) / max(float(np.abs(mixture).max()), AUDIBLE))
        references = gain * parts[: len(self.sources)]
        name = " and ".join(noise.name for noise, _ in chosen)
        return Example(gain * mixture, references, f"{clip.name} in {name}")

    def _choose(self, rng: np.random.Generator) -> tuple[StemTrack, _Pool]:
        """Draw a noise, and its pool."""
        pool = self._noises[rng.choice(len(self._noises), p=self._priors)]
        return pool.tracks[int(rng.integers(len(pool.tracks)))], pool

    @staticmethod
    def _hear(reader: ClipReader, track: StemTrack, pool: _Pool, rng: np.random.Generator) -> Audio:
        return reader.hear(_sound(track), rng, lambda: _sound(pool.like(track, rng)))

    def _add_up(self, noises: Sequence[Audio], rng: np.random.Generator, index: int) -> Audio:
        """Vary the noises of an example, and add a second one to the first."""
        first, *others = augment(self.noise_augmentations, np.stack(noises), index)
        for other in others:
            wanted = level(first) / 10 ** (rng.uniform(0, _SOFTER) / 20)
            first = first + other * np.float32(wanted / max(level(other), AUDIBLE))
        return first


class _Pool:
    """Tracks, and the tracks of each label.

    Args:
        tracks: The tracks.
    """

    def __init__(self, tracks: Sequence[StemTrack]) -> None:
        self.tracks = tracks
        self._by_label: dict[tuple[str, ...], list[StemTrack]] = {}
        for track in tracks:
            self._by_label.setdefault(track.labels or (track.name,), []).append(track)

    def like(self, track: StemTrack, rng: np.random.Generator) -> StemTrack:
        """Draw a track of the same label."""
        alike = self._by_label[track.labels or (track.name,)]
        return alike[rng.integers(len(alike))]


def _sound(track: StemTrack) -> Stem:
    """The only stem of a track, or the sum of its stems."""
    stems = tuple(track.stems.values())
    return stems[0] if len(stems) == 1 else StemSum(stems)
