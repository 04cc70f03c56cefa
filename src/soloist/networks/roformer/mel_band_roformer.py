"""Mel-Band RoFormer: transformers along the frames and the overlapping mel bands of a spectrogram.

Wang, Lu, Won: Mel-band RoFormer for music source separation. ISMIR 2023, late-breaking demo.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.roformer.bands import BandSplit, MaskEstimator
from soloist.networks.roformer.blocks import BlockStack, RoFormerDesign
from soloist.networks.roformer.bs_roformer import without_dc


class MelBandRoFormer(SpectralNetwork):
    """Mel-Band RoFormer, from planes of a spectrogram to complex masks.

    Neighbouring bands overlap: the mask of a bin is the mean of those of its bands. The planes of a channel,
    its real and its imaginary part, are neighbours.

    Args:
        input_channels: Planes of the mixture.
        output_channels: Planes of the masks, those of the first source first.
        num_bins: Bins of the spectrogram, from 0 Hz to half the sample rate.
        sample_rate: Rate that the bands are laid out for, Hz.
        num_bands: Number of bands.
        blocks: Sizes of the transformers.
        mask_layers: Linear layers of the mask of a band.
        mask_expansion: Width between these layers, as a multiple of `blocks.dim`.
        zero_dc: The masks of the lowest bin are zero.

    Raises:
        UsageError: The outputs are no multiple of the inputs, a size is not positive, or a band has no bin.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("band_split",)

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        num_bins: int,
        sample_rate: int = 44100,
        num_bands: int = 60,
        blocks: RoFormerDesign | None = None,
        mask_layers: int = 3,
        mask_expansion: int = 4,
        zero_dc: bool = False,
    ) -> None:
        super().__init__()
        design = blocks or RoFormerDesign()
        if input_channels < 1 or output_channels % input_channels:
            raise UsageError("a RoFormer has outputs that are a multiple of its inputs")
        if min(mask_layers, mask_expansion) < 1:
            raise UsageError("the masks of a RoFormer have at least one layer, and a width between layers")
        bands = mel_bands(num_bands, num_bins, sample_rate)
        widths = [len(bins) * input_channels for bins in bands]
        self.planes, self.zero_dc = input_channels, zero_dc
        self.register_buffer("bins", torch.from_numpy(np.concatenate(bands)), persistent=False)
        first, last = _places(bands, num_bins)
        self.register_buffer("first", torch.from_numpy(first), persistent=False)
        self.register_buffer("last", torch.from_numpy(last), persistent=False)
        self.mask_layers = mask_layers
        self.band_split = BandSplit(widths, design.dim)
        self.stack = BlockStack(design, norm=True)
        self.masks = nn.ModuleList(
            MaskEstimator(widths, design.dim, mask_expansion * design.dim, mask_layers)
            for _ in range(output_channels // input_channels)
        )

    bins: Tensor
    first: Tensor
    last: Tensor

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, planes, frequency, frames)` to masks `(batch, sources * planes, frequency, frames)`.

        Raises:
            UsageError: The spectrogram has other bins than the bands.
        """
        if spectrogram.shape[2] != len(self.first):
            raise UsageError(
                f"the bands have {len(self.first)} bins, and the input has {spectrogram.shape[2]}"
            )
        banded = spectrogram.index_select(2, self.bins)
        tokens = self.stack(self.band_split(rearrange(banded, "b p f t -> b t (f p)")))
        features = torch.stack([mask(tokens) for mask in self.masks], dim=1)
        banded = rearrange(features, "b s t (f p) -> b (s p) f t", p=self.planes)
        masks = 0.5 * (banded.index_select(2, self.first) + banded.index_select(2, self.last))
        return without_dc(masks) if self.zero_dc else masks


def mel_bands(num_bands: int, num_bins: int, sample_rate: int) -> list[NDArray[np.int64]]:
    """Bins of each band: those below its triangle on the mel scale of Slaney.

    Args:
        num_bands: Number of bands.
        num_bins: Bins from 0 Hz to half the sample rate.
        sample_rate: In Hz.

    Raises:
        UsageError: A band has no bin.
    """
    if min(num_bands, num_bins - 1, sample_rate) < 1:
        raise UsageError("mel bands need bands, bins and a sample rate")
    top = sample_rate / 2
    edges = _hertz(np.linspace(0.0, _mel(top), num_bands + 2))
    frequencies = np.arange(num_bins) * top / (num_bins - 1)
    inside = (frequencies > edges[:-2, None]) & (frequencies < edges[2:, None])
    inside[0, 0] = inside[-1, -1] = True
    if not inside.any(axis=1).all() or not inside.any(axis=0).all():
        raise UsageError(f"{num_bins} bins are too few for {num_bands} mel bands at {sample_rate} Hz")
    return [np.flatnonzero(row) for row in inside]


_KNEE, _KNEE_MEL, _STEP = 1000.0, 15.0, np.log(6.4) / 27


def _mel(hertz: float) -> float:
    return 3 * hertz / 200 if hertz < _KNEE else _KNEE_MEL + float(np.log(hertz / _KNEE)) / _STEP


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _KNEE_MEL, mel * 200 / 3, _KNEE * np.exp((mel - _KNEE_MEL) * _STEP))


def _places(bands: list[NDArray[np.int64]], num_bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place of each bin in its first and in its last band, among the bins of all bands."""
    bins = np.concatenate(bands)
    places = np.arange(len(bins))
    first, last = np.full(num_bins, len(bins)), np.zeros(num_bins, dtype=np.int64)
    np.minimum.at(first, bins, places)
    np.maximum.at(last, bins, places)
    return first, last
