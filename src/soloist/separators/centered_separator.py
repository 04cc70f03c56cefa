"""Separators with centred chunks, and the level of each chunk, as Demucs has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.separators.separator import ChunkEdges, Normalization, Separator


@dataclass(frozen=True)
class ItemLevel:
    """Mean and standard deviation of each item over all its values; both `(batch, 1, ...)`."""

    mean: Tensor
    deviation: Tensor

    floor = 1e-5

    @classmethod
    def of(cls, values: Tensor) -> ItemLevel:
        """Measure values `(batch, ...)`."""
        axes = tuple(range(1, values.ndim))
        deviation, mean = torch.std_mean(values, dim=axes, keepdim=True)
        return cls(mean, deviation)

    def normalize(self, values: Tensor) -> Tensor:
        """Bring values to zero mean, and nearly to unit deviation."""
        return (values - self.mean) / (self.floor + self.deviation)

    def restore(self, values: Tensor) -> Tensor:
        """Bring values `(batch, ...)` of any further axes back to the level."""
        shape = (-1, *[1] * (values.ndim - 1))
        return torch.addcmul(self.mean.view(shape), values, self.deviation.view(shape))


class CenteredSeparator(Separator):
    """Separator of chunks in the middle of their neighbours; see `Chunking`.

    Args:
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Sample rate of mixture and estimates, Hz.
        channels: Channels of the mixture and of each estimate.
        chunk_length: Best length of a chunk, samples.
        normalization: Normalisation of the audio; see `Separator`.
        mean_to_each: Give each estimate the whole mean of the mixture back, as the published code does, in
            place of an equal share.
    """

    def __init__(
        self,
        *,
        sources: Sequence[str],
        sample_rate: int,
        channels: int,
        chunk_length: int,
        normalization: Normalization,
        mean_to_each: bool,
    ) -> None:
        super().__init__(
            sources=sources, sample_rate=sample_rate, channels=channels, normalization=normalization
        )
        self.mean_to_each = mean_to_each
        self._chunk_length = chunk_length

    @property
    def minimum_length(self) -> int:
        """Two samples, the fewest with a standard deviation."""
        return 2

    @property
    def chunk_length(self) -> int:
        """Samples of a chunk."""
        return self._chunk_length

    @property
    def chunk_edges(self) -> ChunkEdges:
        """Chunks as the published code cuts them."""
        return "centered"

    @property
    def mean_share(self) -> float:
        """An equal share of the mean for each estimate, or all of it."""
        return 1.0 if self.mean_to_each else super().mean_share
