"""What an engine is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from soloist.separators import Note

Estimate = Callable[[Tensor], Tensor]
"""Mixtures `(batch, channels, samples)` to estimates `(batch, sources, channels, samples)`."""


class Engine(Protocol):
    """Estimates sources as the separator it was made from does, only faster.

    Attributes:
        name: What it is asked for by.
        device: What it computes on.
    """

    name: str
    device: str

    def __call__(self, mixture: Tensor) -> Tensor:
        """A batch of chunks `(batch, channels, samples)` to `(batch, sources, channels, samples)`."""
        ...

    def follow(self, note: Note | None = None) -> Estimate | None:
        """What estimates the chunks of one recording in their order; see `Following`.

        Args:
            note: Is told how clear each chunk was.

        Returns:
            It takes chunks of any multiple of the separator's channels; None where the separator remembers
            nothing.
        """
        ...
