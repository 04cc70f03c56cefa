"""Mixtures of single sounds: talkers, events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soloist.datasets.corpus import Corpus
from soloist.datasets.track import StemTrack
from soloist.errors import UsageError
from soloist.mixing.example import Example, Mixer, Signal, generator, take_in_turn
from soloist.mixing.excerpts import draw_start, level, read_excerpt

PEAK = 0.9
SILENCE = 1e-6


class ClipMixer(Mixer):
    """Mixes clips of different labels (other talkers, other classes) at random level differences.

    The first source goes through all clips in turn, so that each is heard equally often; the others are of
    labels, and then of clips, that are equally likely.

    Args:
        corpus: Tracks with a single stem and a label each.
        split: Which of its splits.
        sources: Names of the sources; their number is how many clips are mixed.
        sample_rate: Rate of the examples, Hz.
        duration: Length of the examples, seconds.
        channels: Channels of the examples.
        snr: How much louder the first source is than each other one, dB: drawn evenly from this range.
        gap: Where a clip is shorter than the example, others of the same label follow after a pause of up to
            so many seconds. None: there is silence before and after it instead.
        seed: Another seed draws other examples.

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
        seed: int = 0,
    ) -> None:
        super().__init__(sources=sources, sample_rate=sample_rate, channels=channels, seed=seed)
        if not duration * sample_rate >= 1 or snr[0] > snr[1] or (gap is not None and gap < 0):
            raise UsageError(f"duration {duration} s, snr {list(snr)} dB or gap {gap} s is out of range")
        self.duration = duration
        self.snr = snr
        self.gap = gap
        self._clips = list(corpus.tracks(split))
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
        """Example number `index`; see `Mixer.draw`."""
        rng = generator(self, self.seed, index)
        first = self._clips[take_in_turn(self, self.seed, index, len(self._clips))]
        others = sorted(self._by_label.keys() - {_label(first)})
        chosen = rng.choice(others, size=len(self.sources) - 1, replace=False)
        clips = [first, *(self._any_of(label, rng) for label in chosen)]
        references = np.stack([self._fill(clip, rng) for clip in clips])
        for reference in references[1:]:
            _set_level(reference, references[0], -rng.uniform(*self.snr))
        mixture = references.sum(axis=0)
        gain = PEAK / max(float(np.abs(mixture).max()), SILENCE)
        return Example(gain * mixture, gain * references, " + ".join(clip.name for clip in clips))

    def _any_of(self, label: str, rng: np.random.Generator) -> StemTrack:
        clips = self._by_label[label]
        return clips[rng.integers(len(clips))]

    def _fill(self, clip: StemTrack, rng: np.random.Generator) -> Signal:
        """A stretch of a clip, or the clip and what is to be heard with it where it is too short."""
        samples = round(self.duration * self.sample_rate)
        stem = next(iter(clip.stems.values()))
        missing = samples - round(stem.duration * self.sample_rate)
        if missing <= 0:
            return self._read(clip, draw_start(rng, stem, self.duration), samples)
        if self.gap is None:
            before = int(rng.integers(missing + 1))
            return np.pad(self._read(clip, 0.0, samples - before), ((0, 0), (before, 0)))
        filled = np.zeros((self.channels, samples), np.float32)
        position = 0
        while position < samples:
            stem = next(iter(clip.stems.values()))
            length = min(round(stem.duration * self.sample_rate), samples - position)
            filled[:, position : position + length] = self._read(clip, 0.0, length)
            position += length + int(rng.uniform(0, self.gap) * self.sample_rate)
            clip = self._any_of(_label(clip), rng)
        return filled

    def _read(self, clip: StemTrack, start: float, samples: int) -> Signal:
        stem = next(iter(clip.stems.values()))
        return read_excerpt(stem, start, samples, self.sample_rate, self.channels)


def _label(clip: StemTrack) -> str:
    return clip.labels[0] if clip.labels else clip.name


def _set_level(signal: Signal, anchor: Signal, gain: float) -> None:
    """Bring a signal, in place, to a level of `gain` dB relative to an anchor; silence stays silence."""
    if level(signal) > SILENCE and level(anchor) > SILENCE:
        signal *= level(anchor) / level(signal) * 10 ** (gain / 20)
