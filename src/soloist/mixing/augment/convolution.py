"""Filters in the frequency domain.

NumPy's transforms give the same bits in every process and for any number of threads; not all others do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio


def fast_size(samples: int) -> int:
    """A length from `samples` on for which transforms are fast: a small number times a power of two."""
    unit = 1 << max(0, samples.bit_length() - 4)
    return -(-samples // unit) * unit


def multiply_spectrum(signals: Audio, response: NDArray[np.inexact], size: int) -> Audio:
    """Filter signals by the product of their spectra with a frequency response.

    Args:
        signals: `(..., samples)`.
        response: `(..., size // 2 + 1)`, at the frequencies from 0 to half the sample rate.
        size: Length of the transform: so many samples more than the signals have as the filter's answer
            lasts, or it comes in again at the other end.

    Returns:
        Of the shape of the signals.
    """
    filtered = np.fft.irfft(np.fft.rfft(signals, size) * response, size)
    return filtered[..., : signals.shape[-1]].astype(np.float32)
