"""Rounding to integers with dither."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray


class Quantizer:
    """Rounds float audio to integers of `bits` bits, with triangular dither of two least significant bits.

    The dither (uncorrelated between channels and stems) makes the error independent of the signal in
    mean and variance (Lipshitz, Wannamaker and Vanderkooy, "Quantization and dither: a theoretical
    survey", 1992). Samples that are integers already stay as they are: digital silence stays silent, and what
    was read from 16 bits loses nothing when it is written with 16 or 24.
    What lies beyond the range saturates. The result depends neither on the blocks nor on other stems.

    Args:
        bits: Bits of a sample.
        seed: Seed of the dither.
        name: Name of the stem; each has its own dither.
    """

    def __init__(self, bits: int, seed: int, name: str) -> None:
        self.bits = bits
        self._full_scale = 1 << (bits - 1)
        self._random = np.random.default_rng([seed, zlib.crc32(name.encode())])

    @staticmethod
    def headroom(bits: int) -> float:
        """The largest absolute value that cannot saturate whatever the dither adds."""
        full_scale = 1 << (bits - 1)
        return (full_scale - 1.5) / full_scale

    def quantize(self, block: NDArray[np.float32]) -> NDArray[np.int32]:
        """Round a block `(channels, samples)` in [-1, 1) to integers of the same shape."""
        channels, samples = block.shape
        draws = self._random.random((samples, channels, 2))
        dither = (draws[..., 0] - draws[..., 1]).T
        scaled = block.astype(np.float64) * self._full_scale
        rounded = np.where(scaled == np.rint(scaled), scaled, np.floor(scaled + dither + 0.5))
        return np.clip(rounded, -self._full_scale, self._full_scale - 1).astype(np.int32)
