"""Projection of a spectrogram onto mel bands, and back.

M. Slaney, "Auditory Toolbox", technical report 1998-010, Interval Research Corporation, 1998.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soloist.errors import UsageError

LINEAR_BELOW = 1000.0  # Hz
MEL_PER_HZ = 3 / 200
MEL_PER_E = 27 / np.log(6.4)  # mel for a factor of e above 1 kHz


def hz_to_mel(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert Hz to Slaney's mel scale: linear up to 1 kHz, logarithmic above."""
    linear = frequencies * MEL_PER_HZ
    above = np.maximum(frequencies, LINEAR_BELOW) / LINEAR_BELOW
    return np.where(frequencies < LINEAR_BELOW, linear, LINEAR_BELOW * MEL_PER_HZ + MEL_PER_E * np.log(above))


def mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert Slaney's mel scale to Hz."""
    knee = LINEAR_BELOW * MEL_PER_HZ
    above = LINEAR_BELOW * np.exp(np.maximum(mels - knee, 0) / MEL_PER_E)
    return np.where(mels < knee, mels / MEL_PER_HZ, above)


def mel_filters(num_bins: int, num_mels: int, sample_rate: int) -> NDArray[np.float64]:
    """Triangular mel filters over the bins of a Fourier transform, each between its neighbours' peaks.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_mels: Bands, with peaks evenly spaced in mel over that range.
        sample_rate: Hz.

    Returns:
        `(num_mels, num_bins)`; the weights of a band sum to one.

    Raises:
        UsageError: A band is too narrow to hold a bin.
    """
    nyquist = sample_rate / 2
    bins = np.linspace(0, nyquist, num_bins)
    edges = mel_to_hz(np.linspace(0, hz_to_mel(np.array(nyquist)), num_mels + 2))
    low, peak, high = (edges[start : start + num_mels, None] for start in range(3))
    filters = np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)).clip(min=0)
    empty = np.flatnonzero(filters.sum(axis=1) == 0)
    if len(empty):
        raise UsageError(
            f"num_mels {num_mels} are too many for {num_bins} bins: {len(empty)} of the bands have none"
        )
    return filters / filters.sum(axis=1, keepdims=True)


class MelProjection(nn.Module):
    """Projection of bins `(..., num_bins, frames)` onto mel bands, and of bands onto bins.

    The inverse begins as the pseudo-inverse, so that bands survive the way to bins and back. Training changes
    both projections independently.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_mels: Number of bands.
        sample_rate: Hz.
        trainable: Train the projections.

    Raises:
        UsageError: A band is too narrow to hold a bin.
    """

    def __init__(self, num_bins: int, num_mels: int, sample_rate: int, *, trainable: bool = False) -> None:
        super().__init__()
        self.num_bins = num_bins
        self.num_mels = num_mels
        filters = mel_filters(num_bins, num_mels, sample_rate)
        self.gather = nn.Parameter(torch.from_numpy(filters).float(), requires_grad=trainable)
        back = torch.from_numpy(np.linalg.pinv(filters)).float()
        self.scatter = nn.Parameter(back, requires_grad=trainable)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map bins `(..., num_bins, frames)` to bands `(..., num_mels, frames)`."""
        return self.gather @ spectrogram

    def inverse(self, bands: Tensor) -> Tensor:
        """Map bands `(..., num_mels, frames)` to bins `(..., num_bins, frames)`."""
        return self.scatter @ bands
