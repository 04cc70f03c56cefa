"""Stretches of signals, cut into overlapping blocks for fast convolution and correlation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

_BATCH_ELEMENTS = 2**21
"""Float64 values that the blocks of one batch have (16 MiB): bounds the memory, and fits large caches."""


@dataclass(frozen=True)
class Stretches:
    """Stretches `[start, stop)` of a signal, in samples.

    Attributes:
        starts: `(stretches,)`, on the CPU.
        stops: `(stretches,)`, on the CPU.
    """

    starts: Tensor
    stops: Tensor

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: slice) -> Stretches:
        return Stretches(self.starts[which], self.stops[which])

    @property
    def longest(self) -> int:
        """Samples of the longest stretch."""
        return int((self.stops - self.starts).max())

    @classmethod
    def whole(cls, num_samples: int) -> Stretches:
        """The one stretch that a signal is."""
        return cls(torch.tensor([0]), torch.tensor([num_samples]))

    @classmethod
    def frames(cls, num_samples: int, window: float, hop: float) -> Stretches:
        """The windows of a signal; what is left at its end is dropped.

        Window `k` begins at `floor(k * hop)`. A signal that is not longer than a window is one window.
        """
        if window >= num_samples:
            return cls.whole(num_samples)
        steps = torch.arange(math.floor((num_samples - window + hop) / hop), dtype=torch.float64) * hop
        stops = (steps + window).clamp(max=num_samples)
        return cls(steps.floor().long(), stops.floor().long())


@dataclass(frozen=True)
class BlockGrid:
    """Blocks of `size` samples, of which neighbours share `reach`."""

    size: int
    reach: int

    @property
    def hop(self) -> int:
        """Samples from one block to the next."""
        return self.size - self.reach

    @property
    def num_bins(self) -> int:
        """Frequencies of a block's real Fourier transform."""
        return self.size // 2 + 1

    @classmethod
    def of(cls, filter_length: int, longest: int) -> BlockGrid:
        """The grid for filters of a length on stretches of up to a length, both in samples."""
        reach = filter_length - 1
        size = min(16 * filter_length, longest + 2 * reach)
        return cls(2 ** math.ceil(math.log2(max(size, 2))), reach)

    def batches(self, stretches: Stretches, length: int, num_signals: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Number the blocks that cover the first `length` samples of each stretch, in batches.

        Yields:
            The index `(blocks,)` of each block's stretch, and its number in that stretch `(blocks,)`.
        """
        per_stretch = -(-length // self.hop)
        total = len(stretches) * per_stretch
        batch = max(1, _BATCH_ELEMENTS // (self.size * num_signals))
        for first in range(0, total, batch):
            numbers = torch.arange(first, min(first + batch, total))
            yield numbers // per_stretch, numbers % per_stretch

    def cut(self, signals: Tensor, stretches: Stretches, owners: Tensor, offsets: Tensor) -> Tensor:
        """Cut blocks out of signals; beyond its stretch a block is zero.

        Args:
            signals: `(signals, samples)`.
            stretches: Stretches of the samples.
            owners: Index of each block's stretch `(blocks,)`.
            offsets: Where each block begins, in samples from the start of its stretch `(blocks,)`.

        Returns:
            `(blocks, signals, size)`, float64.
        """
        starts, stops = stretches.starts[owners, None], stretches.stops[owners, None]
        places = starts + offsets[:, None] + torch.arange(self.size)
        beyond = ((places < starts) | (places >= stops)).to(signals.device)
        places = places.clamp(0, signals.shape[-1] - 1).to(signals.device)
        blocks = signals[:, places.flatten()].to(torch.float64)
        return rearrange(blocks, "s (b t) -> b s t", t=self.size).masked_fill(beyond[:, None], 0)
