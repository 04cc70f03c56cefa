"""Resampling of streams with a delay of a few milliseconds.

A windowed sinc; J. O. Smith, "Digital audio resampling", ccrma.stanford.edu/~jos/resample.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from soloist.audio.blocks import Audio

_CROSSINGS = 40
"""Zero crossings of the filter on either side: 2.5 ms at 16 kHz."""

_BETA = 6.76
"""Shape of the Kaiser window: 70 dB of attenuation."""

_PASSED = 0.95
"""Cutoff, as a part of the lower half rate."""


class ShortResampler:
    """Block-by-block resampler that waits for `ahead` samples of input; `StreamResampler` waits 20 to 150 ms.

    Attenuates aliases by 70 dB, and frequencies from 0.89 of the lower half rate on. The output is aligned
    with the input, and does not depend on the lengths of the blocks.

    Args:
        source_rate: Rate of the input, Hz.
        target_rate: Rate of the output, Hz.
        channels: Number of channels.

    Attributes:
        ahead: Samples of input that an output sample waits for.
    """

    def __init__(self, source_rate: int, target_rate: int, channels: int) -> None:
        divisor = math.gcd(source_rate, target_rate)
        self._up, self._down = target_rate // divisor, source_rate // divisor
        same = source_rate == target_rate
        self._taps = np.ones((1, 1), np.float32) if same else _filters(self._up, self._down)
        self.ahead = self._taps.shape[1] // 2
        self._held: Audio = np.zeros((channels, max(0, self.ahead - 1)), np.float32)
        self._first = -self._held.shape[1]
        self._received = self._emitted = 0

    def process(self, block: Audio) -> Audio:
        """Resample the next block `(channels, samples)`; the result may be short or empty."""
        self._received += block.shape[1]
        self._held = np.concatenate([self._held, block], axis=1)
        # Outputs whose filter ends with the last sample.
        count = max(self._emitted, -(-(self._received - self.ahead) * self._up // self._down))
        return self._make(count)

    def flush(self) -> Audio:
        """Return the remaining samples `(channels, samples)`, with silence behind the end."""
        count = -(-self._received * self._up // self._down)
        zeros = np.zeros((len(self._held), 2 * self.ahead), np.float32)
        self._held = np.concatenate([self._held, zeros], axis=1)
        return self._make(count)

    def _make(self, count: int) -> Audio:
        """Outputs up to number `count`; inputs that no later one needs are let go."""
        positions = np.arange(self._emitted, count, dtype=np.int64) * self._down
        starts = positions // self._up - max(0, self.ahead - 1) - self._first
        if not len(starts):
            return self._held[:, :0]
        windows = sliding_window_view(self._held, self._taps.shape[1], axis=1)[:, starts]
        output = np.einsum("cmk,mk->cm", windows, self._taps[positions % self._up])
        self._emitted = count
        used = count * self._down // self._up - max(0, self.ahead - 1) - self._first
        self._held, self._first = self._held[:, used:].copy(), self._first + used
        return output


def _filters(up: int, down: int) -> NDArray[np.float32]:
    """Filter of each place between two input samples, `(up, taps)`, each with sum 1."""
    scale = _PASSED * min(1.0, up / down)
    reach = math.ceil(_CROSSINGS / scale)
    places = np.arange(up)[:, None] / up - np.arange(-reach + 1, reach + 1)
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (places / reach) ** 2, 0, None)))
    taps = np.sinc(scale * places) * window
    return (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
