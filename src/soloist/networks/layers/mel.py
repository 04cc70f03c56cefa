"""Frequencies of a spectrogram gathered into mel bands, and brought back from them.

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
MEL_PER_E = 27 / np.log(6.4)  # mel for a factor of e, above


def hz_to_mel(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies in Hz on Slaney's mel scale, which is linear up to 1 kHz and logarithmic from there."""
    linear = frequencies * MEL_PER_HZ
    above = np.maximum(frequencies, LINEAR_BELOW) / LINEAR_BELOW
    return np.where(frequencies < LINEAR_BELOW, linear, LINEAR_BELOW * MEL_PER_HZ + MEL_PER_E * np.log(above))


def mel_to_hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `hz_to_mel`."""
    knee = LINEAR_BELOW * MEL_PER_HZ
    above = LINEAR_BELOW * np.exp(np.maximum(mels - knee, 0) / MEL_PER_E)
    return np.where(mels < knee, mels / MEL_PER_HZ, above)


def mel_filters(num_bins: int, num_mels: int, sample_rate: int) -> NDArray[np.float64]:
    """Triangles over the bins of a Fourier transform, each between the peaks of its neighbours.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_mels: Bands, whose peaks divide that range evenly in mel.
        sample_rate: In Hz.

    Returns:
        `(num_mels, num_bins)`; the weights of a band add up to one.

    Raises:
        UsageError: A band is so narrow that no bin lies in it.
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
    """Gathers the bins of `(..., num_bins, frames)` into mel bands, and brings bands back to bins.

    Back goes the pseudo-inverse of the way there, so that what lies in the bands is kept. Once trained, the
    two ways are independent of each other.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_mels: Bands.
        sample_rate: In Hz.
        trainable: Whether training changes the projections.

    Raises:
        UsageError: A band is so narrow that no bin lies in it.
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
        """Bands `(..., num_mels, frames)` of bins `(..., num_bins, frames)`."""
        return self.gather @ spectrogram

    def inverse(self, bands: Tensor) -> Tensor:
        """Bins `(..., num_bins, frames)` of bands `(..., num_mels, frames)`."""
        return self.scatter @ bands
