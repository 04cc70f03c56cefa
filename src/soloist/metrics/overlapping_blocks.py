"""Overlapping blocks of signals for fast convolution and correlation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_PIECE_ELEMENTS = 2**21
"""Most float64 values in the blocks of a piece (16 MiB): bounds the memory, and fits large caches."""


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
        """One stretch over a whole signal."""
        return cls(torch.tensor([0]), torch.tensor([num_samples]))

    @classmethod
    def frames(cls, num_samples: int, window: float, hop: float) -> Stretches:
        """Windows of a signal, without the remainder at its end.

        Window `k` begins at `floor(k * hop)`. A signal no longer than a window is one window.
        """
        if window >= num_samples:
            return cls.whole(num_samples)
        steps = torch.arange(math.floor((num_samples - window + hop) / hop), dtype=torch.float64) * hop
        stops = (steps + window).clamp(max=num_samples)
        return cls(steps.floor().long(), stops.floor().long())


@dataclass(frozen=True)
class Piece:
    """Unit of work: blocks of some stretches, from `first_block` on."""

    stretches: slice
    first_block: int
    num_blocks: int


@dataclass(frozen=True)
class BlockGrid:
    """Blocks of `size` samples, with an overlap of `reach` samples."""

    size: int
    reach: int

    @property
    def hop(self) -> int:
        """Samples from one block to the next."""
        return self.size - self.reach

    @property
    def num_bins(self) -> int:
        """Frequencies of the real Fourier transform of a block."""
        return self.size // 2 + 1

    @classmethod
    def of(cls, filter_length: int, longest: int) -> BlockGrid:
        """Choose a grid for filters of `filter_length` taps on stretches of up to `longest` samples."""
        reach = filter_length - 1
        size = min(16 * filter_length, longest + 2 * reach)
        return cls(2 ** math.ceil(math.log2(max(size, 2))), reach)

    def pieces(self, stretches: Stretches, length: int, num_signals: int) -> Iterator[Piece]:
        """Divide the blocks over the first `length` samples of each stretch into pieces.

        A piece has all blocks of several stretches or, for long stretches, some blocks of one.
        """
        total = -(-length // self.hop)
        capacity = max(1, _PIECE_ELEMENTS // (self.size * num_signals))
        at_once, num_blocks = max(1, capacity // total), min(capacity, total)
        for first in range(0, len(stretches), at_once):
            for block in range(0, total, num_blocks):
                yield Piece(slice(first, first + at_once), block, min(num_blocks, total - block))

    def cut(self, signals: Tensor, stretches: Stretches, piece: Piece, lead: int) -> Tensor:
        """Cut out the samples of a piece's blocks, with zeros beyond the stretches.

        Args:
            signals: `(..., samples)`, of any layout in memory: they are copied piece by piece.
            stretches: Stretches of the samples.
            piece: Blocks to cut.
            lead: Samples from the beginning of block 0 to that of the stretch.

        Returns:
            `(stretches, signals, num_blocks * hop + reach)`, float64, to be unfolded by `size` and `hop` into
            blocks.
        """
        these = stretches[piece.stretches]
        length = piece.num_blocks * self.hop + self.reach
        cuts = signals.new_zeros(len(these), *signals.shape[:-1], length, dtype=torch.float64)
        for cut, start, stop in zip(cuts, these.starts.tolist(), these.stops.tolist(), strict=True):
            begin = start + piece.first_block * self.hop - lead
            first, last = max(begin, start), min(begin + length, stop)
            if first < last:
                cut[..., first - begin : last - begin] = signals[..., first:last]
        return cuts.flatten(1, -2)
