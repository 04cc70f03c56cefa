"""Bands of equal width to the ear above bins that stay as they are.

B. C. J. Moore and B. R. Glasberg, "Suggested formulae for calculating auditory-filter bandwidths and
excitation patterns", Journal of the Acoustical Society of America 74(3), 1983.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soloist.errors import UsageError

_PER_DECADE = 21.4  # ERB for a factor of ten
_PER_HZ = 0.00437


def erb_filters(num_bins: int, num_kept: int, num_bands: int, sample_rate: int) -> NDArray[np.float64]:
    """Triangles between points that are evenly spaced in ERB, rounded to bins; they sum to one at each bin.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_kept: Lowest bins, which have no band.
        num_bands: Number of bands.
        sample_rate: Hz.

    Returns:
        `(num_bands, num_bins - num_kept)`.

    Raises:
        UsageError: Two bands have the same bin.
    """
    spacing = sample_rate / (2 * (num_bins - 1))
    low, high = np.log10(_PER_HZ * np.array([num_kept * spacing, sample_rate / 2]) + 1) * _PER_DECADE
    scale = np.linspace(float(low), float(high), num_bands)
    frequencies = (10 ** (scale / _PER_DECADE) - 1) / _PER_HZ
    points = np.round(frequencies / spacing)
    if (np.diff(points) < 1).any():
        raise UsageError(f"{num_bands} bands are too many for {num_bins - num_kept} bins: two have the same")
    bins = np.arange(num_kept, num_bins)
    return np.stack([np.interp(bins, points, peak) for peak in np.eye(num_bands)])


class ErbBands(nn.Module):
    """Lowest bins as they are, the others in bands `(..., num_kept + num_bands)`; the filters are fixed.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_kept: Lowest bins, which stay as they are.
        num_bands: Bands of the other bins.
        sample_rate: Hz.

    Raises:
        UsageError: There are more bands than bins.
    """

    gather: Tensor
    scatter: Tensor

    def __init__(self, num_bins: int, num_kept: int, num_bands: int, sample_rate: int) -> None:
        super().__init__()
        self.num_kept = num_kept
        filters = torch.from_numpy(erb_filters(num_bins, num_kept, num_bands, sample_rate)).float()
        # Part of the weights, as published: a checkpoint may hold rounded ones.
        self.register_buffer("gather", filters)
        self.register_buffer("scatter", filters.T.contiguous())

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map bins `(..., num_bins)` to `(..., num_kept + num_bands)`."""
        kept, others = spectrogram.tensor_split([self.num_kept], dim=-1)
        return torch.cat([kept, others @ self.gather.T], dim=-1)

    def inverse(self, bands: Tensor) -> Tensor:
        """Map `(..., num_kept + num_bands)` to bins `(..., num_bins)`."""
        kept, others = bands.tensor_split([self.num_kept], dim=-1)
        return torch.cat([kept, others @ self.scatter.T], dim=-1)
