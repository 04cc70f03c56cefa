"""Mixtures of single sounds, such as talkers or events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soloist.audio import Audio
from soloist.datasets import Corpus, Stem, StemTrack
from soloist.errors import AudioError, UsageError
from soloist.mixing.augment.augmentation import Augmentation, augment, samples_to_read
from soloist.mixing.example import Example, Mixer, generator, take_in_turn
from soloist.mixing.excerpt_reader import draw_start, level, loudest_time, read_excerpt, whole_length

PEAK = 0.9
AUDIBLE = 1e-3
"""Smallest root mean square of an audible excerpt (-60 dB), as opposed to pauses and their noise."""


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
        self._length = samples_to_read(self.augmentations, self._samples)
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
        """Read an audible source: a random excerpt, or one around the loudest sample if that is a pause."""
        if level(source := self._fill(clip, rng)) > AUDIBLE:
            return source
        sound, duration = _sound(clip), self._length / self.sample_rate
        start = loudest_time(sound) - rng.uniform(0, duration)
        source = self._read(clip, max(0.0, min(start, sound.duration - duration)), self._length)
        if level(source) > AUDIBLE:
            return source
        raise AudioError(f"{sound} is silent: no stretch of it is above {20 * np.log10(AUDIBLE):.0f} dB")

    def _fill(self, clip: StemTrack, rng: np.random.Generator) -> Audio:
        """Read an excerpt of a clip, or the whole clip, filled up with silence or clips of the same label."""
        missing = self._length - self._samples_of(clip)
        if missing <= 0:
            start = draw_start(rng, _sound(clip), self._length / self.sample_rate)
            return self._read(clip, start, self._length)
        if self.gap is None:
            before = int(rng.integers(missing + 1))
            return np.pad(self._read(clip, 0.0, self._length - before), ((0, 0), (before, 0)))
        filled = np.zeros((self.channels, self._length), np.float32)
        position = 0
        while position < self._length:
            end = min(position + self._samples_of(clip), self._length)
            filled[:, position:end] = self._read(clip, 0.0, end - position)
            position = end + int(rng.uniform(0, self.gap) * self.sample_rate)
            clip = self._any_of(_label(clip), rng)
        return filled

    def _samples_of(self, clip: StemTrack) -> int:
        return whole_length(_sound(clip), self.sample_rate)

    def _read(self, clip: StemTrack, start: float, samples: int) -> Audio:
        return read_excerpt(_sound(clip), start, samples, self.sample_rate, self.channels)


def _label(clip: StemTrack) -> str:
    return clip.labels[0] if clip.labels else clip.name


def _sound(clip: StemTrack) -> Stem:
    return next(iter(clip.stems.values()))
