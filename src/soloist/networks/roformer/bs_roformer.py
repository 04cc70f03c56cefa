"""Band-Split RoFormer: transformers along the frames and the bands of a spectrogram.

Lu et al.: Music source separation with band-split RoPE transformer. ICASSP 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.onednn import map_into
from soloist.networks.layers.transformer import RMSNorm
from soloist.networks.roformer.bands import BandSplit, MaskEstimator
from soloist.networks.roformer.blocks import BlockStack, RoFormerDesign

PUBLISHED_BANDS = (*[2] * 24, *[4] * 12, *[12] * 8, *[24] * 8, *[48] * 8, 128, 129)
"""Bins of each band for 1025 bins: narrow ones for low frequencies."""


class BSRoFormer(SpectralNetwork):
    """Band-Split RoFormer, from planes of a spectrogram to complex masks.

    The planes of a channel, its real and its imaginary part, are neighbours.

    Args:
        input_channels: Planes of the mixture.
        output_channels: Planes of the masks, those of the first source first.
        bands: Bins of each band, from the lowest up.
        blocks: Sizes of the transformers.
        mask_layers: Linear layers of the mask of a band.
        mask_expansion: Width between these layers, as a multiple of `blocks.dim`.
        zero_dc: The masks of the lowest bin are zero.

    Raises:
        UsageError: The outputs are no multiple of the inputs, or a size is not positive.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("band_split",)

    def __init__(
        self,
        input_channels: int,
        output_channels: int,
        bands: Sequence[int] = PUBLISHED_BANDS,
        blocks: RoFormerDesign | None = None,
        mask_layers: int = 2,
        mask_expansion: int = 4,
        zero_dc: bool = False,
    ) -> None:
        super().__init__()
        design = blocks or RoFormerDesign()
        if input_channels < 1 or output_channels % input_channels or min(bands, default=0) < 1:
            raise UsageError("a RoFormer has bands of bins, and outputs that are a multiple of its inputs")
        if min(mask_layers, mask_expansion) < 1:
            raise UsageError("the masks of a RoFormer have at least one layer, and a width between layers")
        widths = [bins * input_channels for bins in bands]
        self.num_bins, self.planes, self.zero_dc = sum(bands), input_channels, zero_dc
        self.mask_layers = mask_layers
        self.band_split = BandSplit(widths, design.dim)
        self.stack = BlockStack(design, norm=False)
        self.norm = RMSNorm(design.dim)
        self.masks = nn.ModuleList(
            MaskEstimator(widths, design.dim, mask_expansion * design.dim, mask_layers)
            for _ in range(output_channels // input_channels)
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, planes, frequency, frames)` to masks `(batch, sources * planes, frequency, frames)`.

        Raises:
            UsageError: The spectrogram has other bins than the bands.
        """
        if spectrogram.shape[2] != self.num_bins:
            raise UsageError(f"the bands have {self.num_bins} bins, and the input has {spectrogram.shape[2]}")
        tokens = self.band_split(rearrange(spectrogram, "b p f t -> b t (f p)"))
        tokens = map_into(self.norm, self.stack(tokens))
        features = torch.stack([mask(tokens) for mask in self.masks], dim=1)
        masks = rearrange(features, "b s t (f p) -> b (s p) f t", p=self.planes)
        return without_dc(masks) if self.zero_dc else masks


def without_dc(masks: Tensor) -> Tensor:
    """Set the lowest bin of masks `(batch, planes, frequency, frames)` to zero."""
    return torch.cat([torch.zeros_like(masks[:, :, :1]), masks[:, :, 1:]], dim=2)
