"""Mixtures of single sounds, such as talkers or events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soloist.audio import Audio
from soloist.datasets import Corpus, Stem, StemTrack
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation, augment, samples_to_read
from soloist.mixing.clip_reader import AUDIBLE, ClipReader
from soloist.mixing.example import Example, Mixer, generator, take_in_turn
from soloist.mixing.excerpt_reader import level

PEAK = 0.9


class ClipMixer(Mixer):
    """Mixer of clips with different labels (talkers, classes) at random level differences.

    The first source takes all clips in turn, so that each is heard equally often. The others draw uniformly
    first a label, then a clip. Every source is audible somewhere in the example. The mixture peaks at 0.9 of
    full scale.

    Args:
        corpus: Corpus of tracks with a single stem and a label each.
        split: Name of the split.
        sources: Names of the sources; one clip is mixed for each.
        sample_rate: Sample rate of the examples, Hz.
        duration: Length of the examples, seconds.
        channels: Number of channels of the examples.
        snr: Range of the ratio of the first source's energy to that of each other one, dB, drawn uniformly.
            The energies are those of the whole example, pauses included, as in metrics: a short sound in a
            long example is louder.
        gap: Longest pause, seconds, after which another clip of the same label follows a clip that is shorter
            than the example. If None, a short clip is padded with silence on both sides.
        augmentations: Augmentations of the sources of each example, applied in turn after `snr`: changes of
            level widen its range.
        max_tracks: Largest number of clips to use, evenly spaced in the order of their names; None for all.
        seed: Seed of the examples.

    Raises:
        UsageError: There are fewer labels than sources, or a value is out of range.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        *,
        sources: Sequence[str],
        sample_rate: int,
        duration: float = 4.0,
        channels: int = 1,
        snr: tuple[float, float] = (-5.0, 5.0),
        gap: float | None = None,
        augmentations: Sequence[Augmentation] = (),
        max_tracks: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            sources=sources, sample_rate=sample_rate, channels=channels, seed=seed, duration=duration
        )
        if not snr[0] <= snr[1] or (gap is not None and not gap >= 0):
            raise UsageError(f"snr {list(snr)} dB or gap {gap} s is out of range")
        self.snr = snr
        self.gap = gap
        self.augmentations = tuple(augmentations)
        self._samples = round(duration * sample_rate)
        length = samples_to_read(self.augmentations, self._samples)
        self._reader = ClipReader(length, sample_rate, channels, gap)
        self._clips = corpus.tracks(split, max_tracks)
        self._by_label: dict[str, list[StemTrack]] = {}
        for clip in self._clips:
            self._by_label.setdefault(_label(clip), []).append(clip)
        if len(self._by_label) < len(self.sources):
            raise UsageError(
                f"{len(self.sources)} sources of different labels are wanted, but the split {split!r} of "
                f"{corpus} has {len(self._by_label)}: {', '.join(sorted(self._by_label))}"
            )

    def __len__(self) -> int:
        return len(self._clips)

    def draw(self, index: int) -> Example:
        """Draw example number `index`; see `Mixer.draw`.

        Raises:
            AudioError: A clip cannot be read, or is silent.
        """
        rng = generator(self, self.seed, index)
        first = self._clips[take_in_turn(self, self.seed, index, len(self._clips))]
        others = sorted(self._by_label.keys() - {_label(first)})
        chosen = rng.choice(others, size=len(self.sources) - 1, replace=False)
        clips = [first, *(self._any_of(label, rng) for label in chosen)]
        references = np.stack([self._hear(clip, rng) for clip in clips])
        for reference in references[1:]:
            reference *= level(references[0]) / level(reference) / 10 ** (rng.uniform(*self.snr) / 20)
        references = augment(self.augmentations, references, index)[..., : self._samples]
        mixture = references.sum(axis=0)
        gain = np.float32(PEAK / max(float(np.abs(mixture).max()), AUDIBLE))
        return Example(gain * mixture, gain * references, " + ".join(clip.name for clip in clips))

    def _any_of(self, label: str, rng: np.random.Generator) -> StemTrack:
        clips = self._by_label[label]
        return clips[rng.integers(len(clips))]

    def _hear(self, clip: StemTrack, rng: np.random.Generator) -> Audio:
        return self._reader.hear(_sound(clip), rng, lambda: _sound(self._any_of(_label(clip), rng)))


def _label(clip: StemTrack) -> str:
    return clip.labels[0] if clip.labels else clip.name


def _sound(clip: StemTrack) -> Stem:
    return next(iter(clip.stems.values()))
