"""Peaks of a waveform at several zooms, from which a browser draws it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio

ZOOMS = (256, 1024, 4096, 16384)
"""Samples of a bin at each zoom."""

_FULL = 127
"""Peak of full scale."""


class PeakMeter:
    """Lowest and highest sample of each bin of a sound that comes in blocks.

    Example:
        >>> meter = PeakMeter()
        >>> meter.add(np.full((2, 300), 0.5, np.float32))
        >>> meter.peaks(256).tolist()
        [[64, 64], [64, 64]]
    """

    def __init__(self) -> None:
        self._bins: list[NDArray[np.float32]] = []
        self._rest = np.zeros((0, 2), np.float32)

    def add(self, block: Audio) -> None:
        """Add a block `(channels, samples)`, nominally in [-1, 1]; its channels share a waveform."""
        extremes = np.stack([block.min(axis=0), block.max(axis=0)], axis=1)
        waiting = np.concatenate([self._rest, extremes])
        whole = len(waiting) // ZOOMS[0] * ZOOMS[0]
        if whole:
            self._bins.append(_merge(waiting[:whole], ZOOMS[0]))
        self._rest = waiting[whole:]

    def peaks(self, zoom: int) -> NDArray[np.int8]:
        """Lowest and highest values `(bins, 2)`, in [-127, 127] for [-1, 1].

        Args:
            zoom: Samples of a bin, one of `ZOOMS`.
        """
        last = [_merge(self._rest, ZOOMS[0])] if len(self._rest) else []
        fine = np.concatenate([*self._bins, *last, np.zeros((0, 2), np.float32)])
        values = _merge(fine, zoom // ZOOMS[0])
        return np.clip(np.round(values * _FULL), -_FULL, _FULL).astype(np.int8)


def _merge(extremes: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Lowest and highest of every `count` pairs `(pairs, 2)`; the last bin may have fewer."""
    starts = np.arange(0, len(extremes), count)
    if not len(starts):
        return extremes
    lowest = np.minimum.reduceat(extremes[:, 0], starts)
    highest = np.maximum.reduceat(extremes[:, 1], starts)
    return np.stack([lowest, highest], axis=1)
