"""Augmentations that imitate a studio: equaliser, saturation, compressor and reverberation.

The effects are those of Pedalboard (the package pedalboard of `pip install 'soloist[effects]'`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation
from soloist.resources import import_extra

Range = tuple[float, float]


class _Effect(Augmentation):
    """Effect with random settings on each source by itself, so that the sources still sum to the mixture.

    Args:
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of the effect for each source.
        seed: Seed of the settings.

    Raises:
        UsageError: `p` is not a probability, or the package is not installed.
    """

    keeps_level = False
    """True to give each source the level that it had."""

    def __init__(self, *, sample_rate: int, p: float = 0.5, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)
        self.sample_rate = sample_rate
        _ = self._board

    @property
    def _board(self) -> Any:
        """The library; no attribute, as modules cannot be pickled."""
        return import_extra("pedalboard", "effects")

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """Make an effect with settings of its own."""

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Process the chosen sources; see `Augmentation.apply`."""
        chosen = self.chosen(rng, len(references))
        # Settings of all sources, so that those of one do not depend on the choice of the others.
        effects = [self.draw(rng) for _ in references]
        varied = references.copy()
        for place in np.flatnonzero(chosen):
            source = np.ascontiguousarray(references[place])
            varied[place] = effects[place](source, self.sample_rate)[:, : source.shape[1]]
            if self.keeps_level:
                varied[place] *= _ratio(_level(source), _level(varied[place]))
        return varied

    def _check(self, name: str, values: Range, least: float, most: float) -> Range:
        if not least <= values[0] <= values[1] <= most:
            raise UsageError(
                f"{type(self).__name__}: {name} {list(values)} is no range from {least:g} to {most:g}"
            )
        return values


class Equalizer(_Effect):
    """Random equaliser of each source: a low shelf, a peak and a high shelf.

    Args:
        decibels: Range of the gain of each of the three, dB.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of the effect for each source.
        seed: Seed of the settings.

    Raises:
        UsageError: The range is reversed or beyond 30 dB, `p` is not a probability, or the package is not
            installed.
    """

    def __init__(
        self, decibels: Range = (-6.0, 6.0), *, sample_rate: int, p: float = 0.5, seed: int = 0
    ) -> None:
        super().__init__(sample_rate=sample_rate, p=p, seed=seed)
        self.decibels = self._check("decibels", decibels, -30, 30)

    def draw(self, rng: np.random.Generator) -> Any:
        """Make an equaliser; see `_Effect.draw`."""
        board, top = self._board, 0.45 * self.sample_rate
        low, middle, high = (
            min(top, float(np.exp2(rng.uniform(*np.log2(edges)))))
            for edges in ((80, 300), (300, 3000), (3000, 8000))
        )
        gains = rng.uniform(*self.decibels, 3).tolist()
        return board.Pedalboard(
            [
                board.LowShelfFilter(low, gains[0]),
                board.PeakFilter(middle, gains[1], float(rng.uniform(0.5, 2.0))),
                board.HighShelfFilter(high, gains[2]),
            ]
        )


class Saturation(_Effect):
    """Random saturation (a hyperbolic tangent) of each source, whose level stays.

    Args:
        drive: Range of the gain before the saturation, dB.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of the effect for each source.
        seed: Seed of the settings.

    Raises:
        UsageError: The range is reversed or not from 0 to 60 dB, `p` is not a probability, or the package is
            not installed.
    """

    keeps_level = True

    def __init__(
        self, drive: Range = (3.0, 15.0), *, sample_rate: int, p: float = 0.5, seed: int = 0
    ) -> None:
        super().__init__(sample_rate=sample_rate, p=p, seed=seed)
        self.drive = self._check("drive", drive, 0, 60)

    def draw(self, rng: np.random.Generator) -> Any:
        """Make a saturation; see `_Effect.draw`."""
        return self._board.Distortion(float(rng.uniform(*self.drive)))


class Compressor(_Effect):
    """Random compression of the dynamics of each source, whose level stays.

    Args:
        threshold: Range of the level from which gain is reduced, dB of full scale.
        ratio: Range of the ratio.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of the effect for each source.
        seed: Seed of the settings.

    Raises:
        UsageError: A range is reversed or out of bounds, `p` is not a probability, or the package is not
            installed.
    """

    keeps_level = True

    def __init__(
        self,
        threshold: Range = (-35.0, -15.0),
        ratio: Range = (1.5, 6.0),
        *,
        sample_rate: int,
        p: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(sample_rate=sample_rate, p=p, seed=seed)
        self.threshold = self._check("threshold", threshold, -100, 0)
        self.ratio = self._check("ratio", ratio, 1, 100)

    def draw(self, rng: np.random.Generator) -> Any:
        """Make a compressor; see `_Effect.draw`."""
        threshold, ratio = rng.uniform(*self.threshold), rng.uniform(*self.ratio)
        attack, release = np.exp2(rng.uniform(np.log2([1, 50]), np.log2([30, 400])))
        return self._board.Compressor(*map(float, (threshold, ratio, attack, release)))


class Reverb(_Effect):
    """Random artificial reverberation of each source, which is part of its reference; see `RoomResponse`.

    Args:
        room: Range of the size of the room, 0 to 1.
        wet: Range of the level of the reverberation, 0 to 1.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of the effect for each source.
        seed: Seed of the settings.

    Raises:
        UsageError: A range is reversed or not from 0 to 1, `p` is not a probability, or the package is not
            installed.
    """

    def __init__(
        self,
        room: Range = (0.1, 0.8),
        wet: Range = (0.05, 0.3),
        *,
        sample_rate: int,
        p: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(sample_rate=sample_rate, p=p, seed=seed)
        self.room = self._check("room", room, 0, 1)
        self.wet = self._check("wet", wet, 0, 1)

    def draw(self, rng: np.random.Generator) -> Any:
        """Make a reverberation; see `_Effect.draw`."""
        room, wet, damping = rng.uniform(*self.room), rng.uniform(*self.wet), rng.uniform(0.2, 0.8)
        # The library doubles the dry level.
        return self._board.Reverb(float(room), float(damping), float(wet), 0.5)


def _level(source: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(source, dtype=np.float64))))


def _ratio(wanted: float, present: float) -> np.float32:
    return np.float32(wanted / present if present > 0 else 1.0)
