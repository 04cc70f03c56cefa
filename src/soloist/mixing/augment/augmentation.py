"""Interface of augmentations."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.mixing.example import generator


class Augmentation(ABC):
    """Variation of the sources of an example, before they are added up to the mixture.

    The variation of example number `n` is a function of the augmentation and `n`: equal in every batch,
    process and repetition. Augmentations of the same class and seed draw the same numbers.

    Args:
        p: Probability of a variation, of each source or of the whole example, depending on the class.
        seed: Seed of the variations.

    Raises:
        UsageError: `p` is not a probability.
    """

    reach: float = 1.0
    """Factor by which the excerpts that are read must be longer than the examples."""

    def __init__(self, *, p: float = 1.0, seed: int = 0) -> None:
        if not 0 <= p <= 1:
            raise UsageError(f"{type(self).__name__}: p must be a probability from 0 to 1, not {p}")
        self.p = p
        self.seed = seed

    def __call__(self, references: Audio, index: int) -> Audio:
        """Vary the sources of an example.

        Args:
            references: `(sources, channels, samples)`; not modified.
            index: Number of the example.

        Returns:
            Varied references of the same shape.
        """
        return self.apply(references, generator(self, self.seed, index))

    def batch(self, references: Audio, indices: Sequence[int]) -> Audio:
        """Vary a batch `(batch, sources, channels, samples)` of the examples with numbers `indices`."""
        return np.stack([self(example, index) for example, index in zip(references, indices, strict=True)])

    @abstractmethod
    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Return varied sources `(sources, channels, samples)`, and leave the given ones unmodified."""

    def chosen(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw a mask `(count,)` of the sources or examples to vary."""
        return rng.random(count) < self.p


def augment(augmentations: Sequence[Augmentation], references: Audio, index: int) -> Audio:
    """Apply augmentations in turn to the sources `(sources, channels, samples)` of an example."""
    for augmentation in augmentations:
        references = augmentation(references, index)
    return references


def samples_to_read(augmentations: Sequence[Augmentation], samples: int) -> int:
    """Length of the excerpts that give `samples` samples after all augmentations."""
    return math.ceil(samples * math.prod(augmentation.reach for augmentation in augmentations))
