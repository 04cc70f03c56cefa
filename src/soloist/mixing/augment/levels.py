"""Augmentations of level, polarity and channels."""

from __future__ import annotations

import numpy as np

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation


class Gain(Augmentation):
    """Random gain of each source.

    Args:
        decibels: Range of the gain, dB, drawn uniformly.
        p: Probability of a gain for each source.
        seed: Seed of the gains.

    Raises:
        UsageError: The range is reversed, or `p` is not a probability.
    """

    def __init__(self, decibels: tuple[float, float] = (-6.0, 6.0), *, p: float = 1.0, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)
        if not decibels[0] <= decibels[1]:
            raise UsageError(f"Gain: decibels must be a range from low to high, not {list(decibels)}")
        self.decibels = decibels

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Scale the sources; see `Augmentation.apply`."""
        changes = rng.uniform(*self.decibels, len(references))
        changes[~self.chosen(rng, len(references))] = 0
        return references * np.float32(10 ** (changes / 20))[:, None, None]


class Polarity(Augmentation):
    """Random inversion of the polarity of each source.

    Args:
        p: Probability of an inversion for each source.
        seed: Seed of the choice.

    Raises:
        UsageError: `p` is not a probability.
    """

    def __init__(self, *, p: float = 0.5, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Invert sources; see `Augmentation.apply`."""
        signs = np.where(self.chosen(rng, len(references)), -1, 1).astype(np.float32)
        return references * signs[:, None, None]


class Swell(Augmentation):
    """Random course of the level of each source: louder and softer in turn.

    The level goes straight, in dB, between random values at equal distances of time.

    Args:
        decibels: Range of the gain, dB.
        turns: Range of the number of values over the whole example, at least two.
        p: Probability of a course for each source.
        seed: Seed of the courses.

    Raises:
        UsageError: A range is reversed, `turns` begins below two, or `p` is not a probability.
    """

    def __init__(
        self,
        decibels: tuple[float, float] = (-25.0, 0.0),
        turns: tuple[int, int] = (3, 9),
        *,
        p: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__(p=p, seed=seed)
        if not (decibels[0] <= decibels[1] and 2 <= turns[0] <= turns[1]):
            raise UsageError(
                f"Swell: decibels {list(decibels)} and turns {list(turns)} must be ranges from low to high, "
                "and turns two or more"
            )
        self.decibels = decibels
        self.turns = turns

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Scale the chosen sources sample by sample; see `Augmentation.apply`."""
        varied = references.copy()
        samples = references.shape[-1]
        for place in np.flatnonzero(self.chosen(rng, len(references))):
            levels = rng.uniform(*self.decibels, rng.integers(self.turns[0], self.turns[1] + 1))
            course = np.interp(np.arange(samples), np.linspace(0, samples - 1, len(levels)), levels)
            varied[place] *= (10 ** (course / 20)).astype(np.float32)
        return varied


class ChannelSwap(Augmentation):
    """Random exchange of the left and right channel of each source; mono stays unchanged.

    Args:
        p: Probability of an exchange for each source.
        seed: Seed of the choice.

    Raises:
        UsageError: `p` is not a probability.
    """

    def __init__(self, *, p: float = 0.5, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Reverse the order of channels; see `Augmentation.apply`."""
        swapped = self.chosen(rng, len(references))[:, None, None]
        return np.where(swapped, references[:, ::-1], references)


class StemDropout(Augmentation):
    """Random silence of sources, of which at least one stays, to learn mixtures without some of them.

    Args:
        p: Probability of silence for each source.
        seed: Seed of the choice.

    Raises:
        UsageError: `p` is not a probability.
    """

    def __init__(self, *, p: float = 0.1, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Silence sources; see `Augmentation.apply`."""
        silent = self.chosen(rng, len(references))
        stays = int(rng.integers(len(references)))
        silent[stays] = silent[stays] and not silent.all()
        return np.where(silent[:, None, None], np.float32(0), references)


class StereoWidth(Augmentation):
    """Random width of the stereo image of each source; other numbers of channels than two stay unchanged.

    Args:
        width: Range of the factor of the difference of the channels, drawn uniformly: 0 is mono, 1 changes
            nothing.
        p: Probability of a variation of each source.
        seed: Seed of the widths.

    Raises:
        UsageError: The range is reversed or negative, or `p` is not a probability.
    """

    def __init__(self, width: tuple[float, float] = (0.3, 1.5), *, p: float = 0.5, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)
        if not 0 <= width[0] <= width[1] < float("inf"):
            raise UsageError(f"StereoWidth: width must be a range from 0 up, not {list(width)}")
        self.width = width

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Scale the difference of the channels; see `Augmentation.apply`."""
        widths = rng.uniform(*self.width, len(references)).astype(np.float32)
        chosen = self.chosen(rng, len(references))[:, None, None]
        if references.shape[1] != 2:
            return references
        middle = references.mean(axis=1, keepdims=True)
        return np.where(chosen, middle + (references - middle) * widths[:, None, None], references)
