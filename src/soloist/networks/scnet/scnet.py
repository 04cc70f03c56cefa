"""SCNet: a complex spectrogram compressed by bands, separated by dual paths, and expanded again.

    spectrogram - sparse down - ... - sparse down - dual paths - + - sparse up - ... - + - sparse up - spectra
                       |                  +----------------------^                     |
                       +--------------------------------------------------------------^

A block down has three bands: low ones keep their bins, higher ones lose most. The dual paths see frames and
their Fourier transform (along time, for each bin) in turn.

W. Tong, J. Zhu, J. Chen, S. Kang, T. Jiang, Y. Li, Z. Wu and H. Meng, "SCNet: Sparse compression network for
music source separation", ICASSP 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import set_weight
from soloist.networks.scnet.dual_paths import DualPath, PathAttention, from_modulations, to_modulations
from soloist.networks.scnet.sparse_bands import BandSizes, SparseDown, SparseUp


class SCNet(SpectralNetwork):
    """Spectra of all sources, or their complex masks, from bands that are compressed unequally.

    Args:
        num_sources: Number of sources.
        dims: Channels before the first block (four for a complex stereo spectrogram) and after each.
        num_bins: Frequencies of the spectrogram.
        band_ratios: Parts of the frequencies in the low and in the middle band; the rest is the high band.
        band_strides: Bins that become one, in the low, the middle and the high band.
        band_kernels: Bins of a kernel along frequency in each band.
        conv_depths: Convolution modules of each band in a block.
        compress: Ratio of channels to hidden channels in a convolution module.
        conv_kernel: Frames of a kernel in a convolution module, odd.
        num_dual_paths: Dual paths, an even number.
        expand: Ratio of hidden features to channels in a recurrent layer.
        attention: Transformers in place of recurrent layers; None for recurrent ones.
        masked: Estimate complex masks in place of spectra, with a position code for each bin of the input.
        normalized: Bring the spectrogram to zero mean and unit deviation, and the estimates back.

    Raises:
        UsageError: The number of dual paths is odd, or a band does not come back to its length.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("mask.2",)

    def __init__(
        self,
        num_sources: int = 4,
        *,
        dims: Sequence[int] = (4, 32, 64, 128),
        num_bins: int = 2049,
        band_ratios: tuple[float, float] = (0.175, 0.392),
        band_strides: Sequence[int] = (1, 4, 16),
        band_kernels: Sequence[int] = (3, 4, 16),
        conv_depths: Sequence[int] = (3, 2, 1),
        compress: float = 4,
        conv_kernel: int = 3,
        num_dual_paths: int = 6,
        expand: int = 1,
        attention: PathAttention | None = None,
        masked: bool = False,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        if num_dual_paths % 2:
            raise UsageError(
                f"num_dual_paths {num_dual_paths} must be even: every second one undoes a transform"
            )
        self.num_bins = num_bins
        self.normalized = normalized
        self.memory_format = torch.contiguous_format
        self.encoders = nn.ModuleList()
        decoders: list[nn.Module] = []
        bins = num_bins
        for before, after in pairwise(dims):
            bands = BandSizes.split(bins, band_ratios, band_strides, band_kernels)
            self.encoders.append(SparseDown(before, after, bands, conv_depths, compress, conv_kernel))
            outputs = before if decoders else before * num_sources
            decoders.insert(0, SparseUp(after, outputs, bands))
            bins = sum(bands.compressed)
        self.decoders = nn.ModuleList(decoders)
        self.dual_paths = nn.ModuleList(
            DualPath(dims[-1] * (1 + index % 2), expand, attention) for index in range(num_dual_paths)
        )
        planes = dims[0] * num_sources
        self.position = nn.Parameter(torch.zeros(1, dims[0], num_bins, 1)) if masked else None
        self.mask = (
            nn.Sequential(nn.Conv2d(planes, 64, 3, padding=1), nn.GELU(), nn.Conv2d(64, planes, 1), nn.Tanh())
            if masked
            else None
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, dims[0], num_bins, frames)` to `(batch, sources * dims[0], num_bins, frames)`.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        if spectrogram.shape[-2] != self.num_bins:
            raise UsageError(
                f"the network is made for {self.num_bins} bins and was given {spectrogram.shape[-2]}"
            )
        if not self.normalized:
            return self._map(spectrogram)
        deviation, mean = torch.std_mean(spectrogram, dim=(1, 2, 3), keepdim=True)
        return self._map((spectrogram - mean) / (1e-5 + deviation)) * deviation + mean

    def optimize(self) -> None:
        """Choose the fastest memory layout on a CPU: channels last."""
        self.memory_format = torch.channels_last
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                set_weight(module, module.weight.detach(), module.bias)

    def _map(self, x: Tensor) -> Tensor:
        x = x if self.position is None else x + self.position
        skips = []
        x = x.contiguous(memory_format=self.memory_format)
        for encoder in self.encoders:
            x, skip = encoder(x)
            skips.append(skip)
        x = self._separate(x)
        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        return x if self.mask is None else self.mask(x)

    def _separate(self, x: Tensor) -> Tensor:
        """Dual paths on frames `(batch, channels, bins, frames)`, and on their transforms, in turn."""
        frames = x.shape[-1]
        for index, path in enumerate(self.dual_paths):
            x = path(x)
            x = from_modulations(x, frames) if index % 2 else to_modulations(x)
        return x
