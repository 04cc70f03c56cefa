"""Augmentations of time, tempo and pitch."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation
from soloist.resources import import_extra


class TimeShift(Augmentation):
    """Random shift of each source in time; gaps are filled with silence.

    Args:
        seconds: Largest shift, earlier or later, seconds.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of a shift for each source.
        seed: Seed of the shifts.

    Raises:
        UsageError: The time is negative, or `p` is not a probability.
    """

    def __init__(self, seconds: float = 0.5, *, sample_rate: int, p: float = 1.0, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"TimeShift: seconds must be 0 or more, not {seconds}")
        self.most = round(seconds * sample_rate)

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Shift the sources; see `Augmentation.apply`."""
        most = min(self.most, references.shape[-1])
        shifts = rng.integers(-most, most + 1, len(references))
        shifts[~self.chosen(rng, len(references))] = 0
        pairs = zip(references, shifts.tolist(), strict=True)
        return np.stack([_shifted(source, shift) for source, shift in pairs])


class PitchTempo(Augmentation):
    """Random change of pitch and tempo, the same for all sources of an example.

    Signalsmith Stretch (the package python-stretch of `pip install 'soloist[train]'`) stretches each source
    and keeps the sources synchronous. A second of stereo at 44.1 kHz takes about 20 ms of a core per source,
    longer than reading.

    Args:
        semitones: Range of the change of pitch, semitones, drawn uniformly.
        tempo: Range of the factor of the tempo, drawn uniformly.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of a variation of an example.
        seed: Seed of the changes.

    Raises:
        UsageError: A range is reversed or a tempo not positive, `p` is not a probability, or the package is
            not installed.
    """

    def __init__(
        self,
        semitones: tuple[float, float] = (-2.0, 2.0),
        tempo: tuple[float, float] = (0.88, 1.12),
        *,
        sample_rate: int,
        p: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__(p=p, seed=seed)
        if not (semitones[0] <= semitones[1] and 0 < tempo[0] <= tempo[1]):
            raise UsageError(
                f"PitchTempo: semitones {list(semitones)} and tempo {list(tempo)} must be ranges from low to "
                "high, and a tempo positive"
            )
        import_extra("python_stretch", "train")
        self.semitones = semitones
        self.tempo = tempo
        self.sample_rate = sample_rate
        self.reach = max(1.0, tempo[1])

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Stretch and transpose, and cut or pad to the same length; see `Augmentation.apply`."""
        semitones, tempo = rng.uniform(*self.semitones), rng.uniform(*self.tempo)
        if not self.chosen(rng, 1)[0]:
            return references
        varied = np.zeros_like(references)
        for source, target in zip(references, varied, strict=True):
            stretched = self._stretcher(len(source), semitones, tempo).process(np.ascontiguousarray(source))
            stretched = stretched[:, : target.shape[1]]
            target[:, : stretched.shape[1]] = stretched
        return varied

    def _stretcher(self, channels: int, semitones: float, tempo: float) -> Any:
        """Make a new stretcher with a fixed seed of the library's random numbers."""
        stretcher = import_extra("python_stretch", "train").Signalsmith.Stretch(0)
        stretcher.preset(channels, self.sample_rate)
        stretcher.setTransposeSemitones(semitones)
        stretcher.setTimeFactor(tempo)
        return stretcher


class Speed(Augmentation):
    """Random speed of each source, as of a record: pitch, formants and tempo change together.

    A change takes about 1 ms of a core for 5 s at 16 kHz, a small part of what `PitchTempo` takes.

    Args:
        factor: Range of the factor of the speed, drawn uniformly on a scale of octaves.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of a change for each source.
        seed: Seed of the changes.

    Raises:
        UsageError: The range is reversed or not positive, or `p` is not a probability.
    """

    def __init__(
        self, factor: tuple[float, float] = (0.9, 1.1), *, sample_rate: int, p: float = 0.5, seed: int = 0
    ) -> None:
        super().__init__(p=p, seed=seed)
        if not 0 < factor[0] <= factor[1] < float("inf"):
            raise UsageError(f"Speed: factor {list(factor)} must be a range of positive numbers")
        self.factor = factor
        self.sample_rate = sample_rate
        self.reach = max(1.0, factor[1])

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Resample the chosen sources, and cut or pad to the same length; see `Augmentation.apply`."""
        low, high = np.log2(self.factor)
        factors = np.exp2(rng.uniform(low, high, len(references)))
        varied = references.copy()
        for place in np.flatnonzero(self.chosen(rng, len(references))):
            faster = soxr.resample(
                references[place].T, self.sample_rate * factors[place], self.sample_rate, "LQ"
            )
            faster = faster[: references.shape[-1]].T
            varied[place, :, : faster.shape[1]] = faster
            varied[place, :, faster.shape[1] :] = 0
        return varied


class Reversal(Augmentation):
    """Random reversal of each source in time.

    Args:
        p: Probability of a reversal for each source.
        seed: Seed of the choice.

    Raises:
        UsageError: `p` is not a probability.
    """

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Reverse the chosen sources; see `Augmentation.apply`."""
        chosen = self.chosen(rng, len(references))[:, None, None]
        return np.where(chosen, references[..., ::-1], references)


def _shifted(source: Audio, shift: int) -> Audio:
    """Delay a source `(channels, samples)` by `shift` samples, or advance it if negative."""
    samples = source.shape[1]
    moved = np.zeros_like(source)
    moved[:, max(0, shift) : samples + min(0, shift)] = source[:, max(0, -shift) : samples - max(0, shift)]
    return moved
