"""Mix-up of tracks: examples that are sums of two."""

from __future__ import annotations

import numpy as np

from soloist.errors import UsageError
from soloist.mixing.example import Example, Mixer, arguments_of, generator

_OTHERS = 1 << 46
"""Offset of the numbers of the examples that are added, beyond those of all others."""


class MixUp(Mixer):
    """Mixer that adds to some examples of a mixer another one, source by source.

    H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: Beyond empirical risk minimization", ICLR
    2018; for sums of sources the sum of two examples is an example as well.

    Args:
        mixer: Mixer of the examples, with a duration.
        decibels: Range of the gain of what is added, dB, drawn uniformly.
        p: Probability that something is added to an example.
        seed: Seed of the choice; the mixer has its own seed.

    Raises:
        UsageError: The range is reversed, `p` is not a probability, or the mixer gives whole tracks.
    """

    def __init__(
        self, mixer: Mixer, decibels: tuple[float, float] = (-12.0, 0.0), *, p: float = 0.3, seed: int = 0
    ) -> None:
        if not 0 <= p <= 1:
            raise UsageError(f"MixUp: p must be a probability from 0 to 1, not {p}")
        if not decibels[0] <= decibels[1]:
            raise UsageError(f"MixUp: decibels must be a range from low to high, not {list(decibels)}")
        if mixer.duration is None:
            raise UsageError("MixUp: whole tracks differ in length: give the mixer a duration")
        super().__init__(**{**arguments_of(mixer), "seed": seed})
        self.mixer = mixer
        self.decibels = decibels
        self.p = p

    def __len__(self) -> int:
        return len(self.mixer)

    def draw(self, index: int) -> Example:
        """Draw example number `index`; see `Mixer.draw`."""
        rng = generator(self, self.seed, index)
        gain = np.float32(10 ** (rng.uniform(*self.decibels) / 20))
        example = self.mixer.draw(index)
        if rng.random() >= self.p:
            return example
        other = self.mixer.draw(index + _OTHERS)
        return Example(
            example.mixture + gain * other.mixture,
            example.references + gain * other.references,
            f"{example.name} + {other.name}",
        )
