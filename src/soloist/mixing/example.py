"""What training sees: a mixture and its references, drawn reproducibly."""

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
    """An excerpt of a mixture and its references.

    Attributes:
        mixture: `(channels, samples)`.
        references: `(sources, channels, samples)`.
        name: What it was made of, for messages and tables.
    """

    mixture: Audio
    references: Audio
    name: str


class Mixer(ABC):
    """Draws examples. Example number `n` is a function of the mixer and `n`, whoever draws it and when.

    Args:
        sources: Names of the sources, in the order of the references.
        sample_rate: Rate of the examples, Hz.
        channels: Channels of the examples.
        seed: Another seed draws other examples.
        duration: Length of the examples, seconds; None where each is as long as the track it is made of.

    Raises:
        UsageError: The duration is not that of a sample at least.
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
        """Example number `index`, from 0 on without end.

        Raises:
            AudioError: A file that it is made of cannot be read.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Examples after which everything has been drawn about once."""


def arguments_of(mixer: Mixer) -> dict[str, Any]:
    """The arguments of `Mixer` that make another like one: for mixers that draw from others."""
    names = ("sources", "sample_rate", "channels", "seed", "duration")
    return {name: getattr(mixer, name) for name in names}


def generator(owner: object, seed: int, index: int, purpose: str = "") -> np.random.Generator:
    """The randomness of one example and one of its ingredients, independent of all others.

    Args:
        owner: What draws; classes draw independently of each other.
        seed: Of the owner.
        index: Number of the example.
        purpose: What is drawn, where an owner draws several things.
    """
    return np.random.default_rng([seed, _salt(owner, purpose), index])


def take_in_turn(owner: object, seed: int, index: int, count: int, purpose: str = "") -> int:
    """Which of `count` things example `index` takes: each once, in random order, before any again.

    Args:
        owner: What draws; classes draw independently of each other.
        seed: Of the owner.
        index: Number of the example.
        count: How many things there are.
        purpose: For what one is taken, where an owner takes several.
    """
    cycle, place = divmod(index, count)
    return int(_shuffled(_salt(owner, f"turn{purpose}"), seed, cycle, count)[place])


def _salt(owner: object, purpose: str) -> int:
    return zlib.crc32(f"{type(owner).__name__}.{purpose}".encode())


@lru_cache(maxsize=64)
def _shuffled(salt: int, seed: int, cycle: int, count: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, salt, cycle]).permutation(count)
