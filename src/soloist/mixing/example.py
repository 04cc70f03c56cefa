"""Training examples, the interface of mixers, and reproducible random numbers."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.errors import UsageError


@dataclass(frozen=True)
class Example:
    """Excerpt of a mixture with its references.

    Attributes:
        mixture: `(channels, samples)`.
        references: `(sources, channels, samples)`.
        name: Names of the tracks in the example, for messages and tables.
    """

    mixture: Audio
    references: Audio
    name: str


class Mixer(ABC):
    """Source of examples; example number `n` is a function of the mixer and `n` alone.

    Args:
        sources: Names of the sources, in the order of the references.
        sample_rate: Sample rate of the examples, Hz.
        channels: Number of channels of the examples.
        seed: Seed of the examples.
        duration: Length of the examples, seconds. If None, each is as long as its track.

    Raises:
        UsageError: The duration is shorter than one sample.
    """

    def __init__(
        self,
        *,
        sources: Sequence[str],
        sample_rate: int,
        channels: int,
        seed: int,
        duration: float | None = None,
    ) -> None:
        if duration is not None and not 1 <= duration * sample_rate < float("inf"):
            raise UsageError(f"{type(self).__name__}: duration must be a positive time, not {duration} s")
        self.sources = tuple(sources)
        self.sample_rate = sample_rate
        self.channels = channels
        self.seed = seed
        self.duration = duration

    @abstractmethod
    def draw(self, index: int) -> Example:
        """Draw example number `index`, any number from 0 on.

        Raises:
            AudioError: A file cannot be read.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples that draw every track about once."""


def arguments_of(mixer: Mixer) -> dict[str, Any]:
    """Arguments of `Mixer` that a mixer of mixers copies from one of them."""
    names = ("sources", "sample_rate", "channels", "seed", "duration")
    return {name: getattr(mixer, name) for name in names}


def generator(owner: object, seed: int, index: int, purpose: str = "") -> np.random.Generator:
    """Make the random generator of one example, independent of those of all other examples.

    Args:
        owner: Mixer or augmentation; each class has independent numbers.
        seed: Seed of the owner.
        index: Number of the example.
        purpose: Name of the use, if an owner needs several generators.
    """
    return np.random.default_rng([seed, _salt(owner, purpose), index])


def take_in_turn(owner: object, seed: int, index: int, count: int, purpose: str = "") -> int:
    """Draw a number below `count` for an example: each once, in random order, before any again.

    Args:
        owner: Mixer or augmentation; each class has independent numbers.
        seed: Seed of the owner.
        index: Number of the example.
        count: Number of things to draw from.
        purpose: Name of the use, if an owner draws several numbers.
    """
    cycle, place = divmod(index, count)
    return int(_shuffled(_salt(owner, f"turn{purpose}"), seed, cycle, count)[place])


def _salt(owner: object, purpose: str) -> int:
    return zlib.crc32(f"{type(owner).__name__}.{purpose}".encode())


@lru_cache(maxsize=64)
def _shuffled(salt: int, seed: int, cycle: int, count: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, salt, cycle]).permutation(count)
