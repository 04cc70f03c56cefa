"""Variations of level, sign and place between the loudspeakers."""

from __future__ import annotations

import numpy as np

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.augment.augmentation import Augmentation


class Gain(Augmentation):
    """Makes each source louder or softer by itself.

    Args:
        decibels: The change of level is drawn evenly from this range, dB.
        p: Probability with which each source is varied.
        seed: Another seed draws other levels.

    Raises:
        UsageError: The range is upside down, or `p` is not a probability.
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
    """Turns the sign of each source by itself.

    Args:
        p: Probability with which a source is turned.
        seed: Another seed turns other sources.

    Raises:
        UsageError: `p` is not a probability.
    """

    def __init__(self, *, p: float = 0.5, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Turn signs; see `Augmentation.apply`."""
        signs = np.where(self.chosen(rng, len(references)), -1, 1).astype(np.float32)
        return references * signs[:, None, None]


class ChannelSwap(Augmentation):
    """Exchanges left and right of each source by itself; one channel stays as it is.

    Args:
        p: Probability with which the channels of a source are exchanged.
        seed: Another seed chooses other sources.

    Raises:
        UsageError: `p` is not a probability.
    """

    def __init__(self, *, p: float = 0.5, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Put the channels of some sources in reverse order; see `Augmentation.apply`."""
        swapped = self.chosen(rng, len(references))[:, None, None]
        return np.where(swapped, references[:, ::-1], references)
