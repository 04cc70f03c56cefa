"""Stretches of signals, cut into overlapping blocks for fast convolution and correlation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_PIECE_ELEMENTS = 2**21
"""Float64 values that the blocks of a piece have (16 MiB): bounds the memory, and fits large caches."""


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
class Piece:
    """A share of the work: blocks `first_block` and on of some stretches."""

    stretches: slice
    first_block: int
    num_blocks: int


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

    def pieces(self, stretches: Stretches, length: int, num_signals: int) -> Iterator[Piece]:
        """Share out the blocks that cover the first `length` samples of each stretch.

        A piece has all blocks of several stretches or, where a stretch is long, some blocks of one.
        """
        total = -(-length // self.hop)
        capacity = max(1, _PIECE_ELEMENTS // (self.size * num_signals))
        at_once, num_blocks = max(1, capacity // total), min(capacity, total)
        for first in range(0, len(stretches), at_once):
            for block in range(0, total, num_blocks):
                yield Piece(slice(first, first + at_once), block, min(num_blocks, total - block))

    def cut(self, signals: Tensor, stretches: Stretches, piece: Piece, lead: int) -> Tensor:
        """Cut out the samples of a piece's blocks; beyond its stretch, a signal is zero.

        Args:
            signals: `(signals, samples)`.
            stretches: Stretches of the samples.
            piece: Which blocks of which stretches.
            lead: Samples by which block 0 begins before its stretch.

        Returns:
            `(stretches, signals, num_blocks * hop + reach)`, float64; unfolded by `size` and `hop` they are
            the blocks.
        """
        these = stretches[piece.stretches]
        length = piece.num_blocks * self.hop + self.reach
        cuts = signals.new_zeros(len(these), len(signals), length, dtype=torch.float64)
        for cut, start, stop in zip(cuts, these.starts.tolist(), these.stops.tolist(), strict=True):
            begin = start + piece.first_block * self.hop - lead
            first, last = max(begin, start), min(begin + length, stop)
            if first < last:
                cut[:, first - begin : last - begin] = signals[:, first:last]
        return cuts
