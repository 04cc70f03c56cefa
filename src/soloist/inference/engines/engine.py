"""The protocol of engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from soloist.separators import Note

Estimate = Callable[[Tensor], Tensor]
"""Mixtures `(batch, channels, samples)` to estimates `(batch, sources, channels, samples)`."""


class Engine(Protocol):
    """Runs a separator on chunks; threads take turns, so that the memory is that of one batch of chunks.

    Attributes:
        name: One of `ENGINES`.
        device: Device of the computation.
        precision: Precision of the network, one of `PRECISIONS`.
    """

    name: str
    device: str
    precision: str

    @property
    def batch_limit(self) -> int | None:
        """Most chunks at once for which the memory sufficed; None if it did for every batch."""
        ...

    def __call__(self, mixture: Tensor) -> Tensor:
        """Estimate `(batch, sources, channels, samples)` from chunks `(batch, channels, samples)`."""
        ...

    def follow(self, note: Note | None = None) -> Estimate | None:
        """Estimator of consecutive chunks of one recording; see `Following`.

        Args:
            note: Callback that receives the clustering confidence of each chunk.

        Returns:
            An estimator for any multiple of the separator's channels; None for a separator without memory.
        """
        ...


def batch_notes(engine: Engine) -> tuple[str, ...]:
    """Line about batches that the memory did not suffice for; none if it did."""
    if engine.batch_limit is None:
        return ()
    return (
        f"memory of {engine.device} did not suffice for larger batches: went on with {engine.batch_limit}",
    )
