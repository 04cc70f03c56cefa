"""Bandit: recurrences along the frames and the overlapping bands of a spectrogram, and masks of each source.

    spectrogram - features of each band - (along frames - along bands) ... - masks of each band - weighted sum

Watcharasupat, Wu, Ding, Orife, Hipple, Williams, Kramer, Lerch, Wolcott: A generalized bandsplit neural
network for cinematic audio source separation. IEEE Open Journal of Signal Processing 5, 2024.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from soloist.errors import UsageError
from soloist.networks.dual_path import Recurrence
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.recurrence import Cell
from soloist.networks.roformer.bands import BandLinear, Bands, MaskEstimator


class Bandit(SpectralNetwork):
    """Bandit, from planes of a spectrogram to complex masks.

    Each channel is separated by itself. The planes of a channel, its real and its imaginary part, are
    neighbours. Bands overlap: the mask of a bin is the mean of those of its bands.

    Args:
        num_sources: Number of sources.
        num_bins: Bins of the spectrogram, from 0 Hz to half the sample rate.
        num_bands: Number of bands, of equal width in octaves.
        sample_rate: Rate that the bands are laid out for, Hz.
        dim: Features of a band in a frame.
        hidden_size: Features of a recurrent layer, for each direction.
        depth: Pairs of recurrences, along the frames and along the bands.
        mask_features: Features between the two layers of the mask of a band.
        cell: "gru" or "lstm".
        bidirectional: Run in both directions of either axis.
        epsilon: Added to the variance of a band's coefficients. 1e-5 for a spectrogram divided by the norm of
            its window are, for a Hann window and an orthonormal spectrogram, three eighths of that.

    Raises:
        UsageError: A size is not positive, a band has no bin, or the cell is unknown.
    """

    def __init__(
        self,
        num_sources: int,
        *,
        num_bins: int = 1025,
        num_bands: int = 64,
        sample_rate: int = 44100,
        dim: int = 128,
        hidden_size: int = 256,
        depth: int = 8,
        mask_features: int = 512,
        cell: Cell = "gru",
        bidirectional: bool = True,
        epsilon: float = 3.75e-6,
    ) -> None:
        super().__init__()
        if min(num_sources, dim, hidden_size, depth, mask_features) < 1:
            raise UsageError("the sources and sizes of a Bandit must be positive")
        bands = octave_bands(num_bands, num_bins, sample_rate)
        widths = [2 * len(bins) for bins in bands]
        bins = np.concatenate(bands)
        self.num_bins = num_bins
        self.register_buffer("bins", torch.from_numpy(bins), persistent=False)
        share = 1 / np.bincount(bins, minlength=num_bins)[bins]
        self.register_buffer("share", torch.from_numpy(share.astype(np.float32)), persistent=False)
        self.band_split = BandFeatures(widths, dim, epsilon)
        self.paths = nn.ModuleList(
            ResidualRecurrence(dim, hidden_size, cell=cell, bidirectional=bidirectional)
            for _ in range(2 * depth)
        )
        self.masks = nn.ModuleList(BandMasks(widths, dim, mask_features) for _ in range(num_sources))

    bins: Tensor
    share: Tensor

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, planes, frequency, frames)` to masks `(batch, sources * planes, frequency, frames)`.

        Raises:
            UsageError: The spectrogram has other bins than the bands.
        """
        batch, _, bins, _ = spectrogram.shape
        if bins != self.num_bins:
            raise UsageError(f"the bands have {self.num_bins} bins, and the input has {bins}")
        channels = rearrange(spectrogram, "b (c p) f t -> (b c) t f p", p=2)
        x = self.band_split(channels.index_select(2, self.bins).flatten(2))
        for path in self.paths:
            # Along the frames of each band, and along the bands of each frame in turn.
            x = path(x.transpose(1, 2))
        masks = torch.stack([self._spread(mask(x)) for mask in self.masks], dim=1)
        return rearrange(masks, "(b c) s t f p -> b (s c p) f t", b=batch)

    def _spread(self, features: Tensor) -> Tensor:
        """Mean over bands: `(batch, frames, features)`, band after band, to `(batch, frames, bins, 2)`."""
        banded = rearrange(features, "b t (f p) -> b t f p", p=2) * self.share[:, None]
        masks = banded.new_zeros(*banded.shape[:2], self.num_bins, 2)
        return masks.index_add(2, self.bins, banded)


class BandFeatures(nn.Module):
    """Map the coefficients of each band to features: normalise them, then a linear layer.

    Args:
        widths: Coefficients of each band.
        dim: Features of a band.
        epsilon: Added to the variance.
    """

    def __init__(self, widths: list[int], dim: int, epsilon: float) -> None:
        super().__init__()
        self.bands, self.epsilon = Bands(widths), epsilon
        groups = self.bands.groups.items()
        self.gains = nn.ParameterList(torch.ones(len(bands), width) for width, bands in groups)
        self.shifts = nn.ParameterList(torch.zeros(len(bands), width) for width, bands in groups)
        self.linears = nn.ModuleList(BandLinear(len(bands), width, dim) for width, bands in groups)

    def forward(self, coefficients: Tensor) -> Tensor:
        """Map `(batch, frames, coefficients)`, band after band, to `(batch, frames, bands, dim)`."""
        batch, features = coefficients.shape[0], []
        parts = coefficients.index_select(-1, self.bands.columns).split(self.bands.sizes, dim=-1)
        for part, gain, shift, linear in zip(parts, self.gains, self.shifts, self.linears, strict=True):
            width = gain.shape[1]
            inputs = rearrange(part, "b t (k w) -> k (b t) w", w=width)
            normal = layer_norm(inputs, (width,), eps=self.epsilon) * gain[:, None] + shift[:, None]
            features.append(rearrange(linear(normal), "k (b t) d -> b t k d", b=batch))
        return torch.cat(features, dim=2).index_select(2, self.bands.order_back)


class ResidualRecurrence(nn.Module):
    """Recurrence along the steps of normalised rows, added to its input.

    Args:
        dim: Features of a step.
        hidden_size: Features of the recurrent layer, for each direction.
        cell: "gru" or "lstm".
        bidirectional: Run in both directions.
    """

    def __init__(self, dim: int, hidden_size: int, *, cell: Cell, bidirectional: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.recurrence = Recurrence(dim, hidden_size, cell=cell, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, rows, steps, dim)` to the same shape, each row by itself."""
        return x + cast(Tensor, self.recurrence(self.norm(x)))


class BandMasks(nn.Module):
    """Map the features of each band to masks of its coefficients: normalise them, then two linear layers.

    Args:
        widths: Coefficients of each band.
        dim: Features of a band.
        hidden_size: Features between the layers.
    """

    def __init__(self, widths: list[int], dim: int, hidden_size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(len(widths), dim))
        self.shift = nn.Parameter(torch.zeros(len(widths), dim))
        self.estimator = MaskEstimator(widths, dim, hidden_size, layers=2)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(batch, frames, bands, dim)` to `(batch, frames, coefficients)`, band after band."""
        normal = layer_norm(features, features.shape[-1:]) * self.gain + self.shift
        return cast(Tensor, self.estimator(normal))


def octave_bands(num_bands: int, num_bins: int, sample_rate: int) -> list[NDArray[np.int64]]:
    """Bins of each band: those around its centre, a fraction of an octave to either side.

    Centres are spaced evenly on the scale of MIDI notes, from the first bin above 0 Hz to half the sample
    rate.

    Args:
        num_bands: Number of bands.
        num_bins: Bins from 0 Hz to half the sample rate.
        sample_rate: In Hz.

    Raises:
        UsageError: There are no bands or bins, or a bin belongs to no band.
    """
    if min(num_bands, num_bins - 1, sample_rate) < 1:
        raise UsageError("bands need bins and a sample rate")
    top = sample_rate / 2
    spacing = top / (num_bins - 1)
    notes = [12 * np.log2(hertz / 440) + 69 for hertz in (spacing, top)]
    centres = 440 * 2 ** ((np.linspace(max(0.0, notes[0]), notes[1], num_bands) - 69) / 12) / spacing
    reach = 2 ** (np.log2(num_bins - 1) / num_bands)
    first, last = np.floor(centres / reach).astype(int), np.ceil(centres * reach).astype(int)
    first[0], last[-1] = 0, num_bins - 1
    bands = [np.arange(low, min(high, num_bins - 1) + 1) for low, high in zip(first, last, strict=True)]
    if len(np.unique(np.concatenate(bands))) < num_bins:
        raise UsageError(f"{num_bands} bands do not cover {num_bins} bins at {sample_rate} Hz: take more")
    return bands
