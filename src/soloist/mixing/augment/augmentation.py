"""What every augmentation promises."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.example import generator


class Augmentation(ABC):
    """Varies the sources of an example; the mixture is made afterwards, so it stays their sum.

    What is done to example number `n` is a function of the augmentation and `n`: in a batch or alone, in
    whichever process, as often as one likes. Augmentations of one class and one seed draw the same.

    Args:
        p: Probability that something is varied: each source by itself, or all of an example alike, as the
            class says.
        seed: Another seed draws other variations.

    Raises:
        UsageError: `p` is not a probability.
    """

    reach: float = 1.0
    """How many times as long as what is wanted an excerpt must be, so that nothing is missing at its end."""

    def __init__(self, *, p: float = 1.0, seed: int = 0) -> None:
        if not 0 <= p <= 1:
            raise UsageError(f"{type(self).__name__}: p must be a probability from 0 to 1, not {p}")
        self.p = p
        self.seed = seed

    def __call__(self, references: Audio, index: int) -> Audio:
        """Vary the sources of an example.

        Args:
            references: `(sources, channels, samples)`; it is left as it is.
            index: Number of the example.

        Returns:
            Of the same shape.
        """
        return self.apply(references, generator(self, self.seed, index))

    def batch(self, references: Audio, indices: Sequence[int]) -> Audio:
        """Vary a batch `(batch, sources, channels, samples)` of examples with these numbers."""
        return np.stack([self(example, index) for example, index in zip(references, indices, strict=True)])

    @abstractmethod
    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Vary sources `(sources, channels, samples)`, which are left as they are, as the generator says."""

    def chosen(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Which of `count` things are varied."""
        return rng.random(count) < self.p


def augment(augmentations: Sequence[Augmentation], references: Audio, index: int) -> Audio:
    """Apply augmentations one after the other to the sources `(sources, channels, samples)` of an example."""
    for augmentation in augmentations:
        references = augmentation(references, index)
    return references


def samples_to_read(augmentations: Sequence[Augmentation], samples: int) -> int:
    """Samples that an excerpt must have for `samples` of it to be whole after all augmentations."""
    return math.ceil(samples * math.prod(augmentation.reach for augmentation in augmentations))
