"""Variations of when and how fast things happen."""

from __future__ import annotations

from typing import Any

import numpy as np

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation
from soloist.resources import import_extra


class TimeShift(Augmentation):
    """Moves each source by itself to an earlier or a later time; silence comes in where it leaves.

    Args:
        seconds: By how much at most.
        sample_rate: Rate of the sources, Hz.
        p: Probability with which each source is moved.
        seed: Another seed draws other times.

    Raises:
        UsageError: The time is negative, or `p` is not a probability.
    """

    def __init__(self, seconds: float = 0.5, *, sample_rate: int, p: float = 1.0, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"TimeShift: seconds must be 0 or more, not {seconds}")
        self.most = round(seconds * sample_rate)

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Move the sources; see `Augmentation.apply`."""
        most = min(self.most, references.shape[-1])
        shifts = rng.integers(-most, most + 1, len(references))
        shifts[~self.chosen(rng, len(references))] = 0
        pairs = zip(references, shifts.tolist(), strict=True)
        return np.stack([_shifted(source, shift) for source, shift in pairs])


class PitchTempo(Augmentation):
    """Changes pitch and tempo of an example, of all sources alike, so that they still play together.

    Each source is stretched by itself with Signalsmith Stretch (the package python-stretch, which
    `pip install 'soloist[train]'` adds). It keeps time: what sounded together does so afterwards. A second of
    stereo at 44.1 kHz takes about 20 ms of a core for each source, more than it takes to read it.

    Args:
        semitones: The change of pitch is drawn evenly from this range.
        tempo: The tempo, as a multiple of what it is, is drawn evenly from this range.
        sample_rate: Rate of the sources, Hz.
        p: Probability with which an example is varied.
        seed: Another seed draws other changes.

    Raises:
        UsageError: A range is upside down or a tempo not positive, `p` is not a probability, or the package
            is not installed.
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
        """Stretch and transpose, and cut the end or leave it silent; see `Augmentation.apply`."""
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
        """A stretcher without a past: the library's own randomness is seeded alike each time."""
        stretcher = import_extra("python_stretch", "train").Signalsmith.Stretch(0)
        stretcher.preset(channels, self.sample_rate)
        stretcher.setTransposeSemitones(semitones)
        stretcher.setTimeFactor(tempo)
        return stretcher


def _shifted(source: Audio, shift: int) -> Audio:
    """A source `(channels, samples)` that comes `shift` samples later."""
    samples = source.shape[1]
    moved = np.zeros_like(source)
    moved[:, max(0, shift) : samples + min(0, shift)] = source[:, max(0, -shift) : samples - max(0, shift)]
    return moved
