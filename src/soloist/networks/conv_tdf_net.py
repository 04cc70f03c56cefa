"""ConvTDFNet, the network of MDX-Net: a U-Net of chains of convolutions and frequency transformations.

    spectrogram - entry - block ------------------------- x - block - exit - spectrogram of the target
                            down - block ----------- x - block - up
                                     down - ... block ... - up
    block: y = convolutions; y + fully connected over frequency (y)

Skipped features are multiplied, not concatenated. The output is the spectrogram of the target, not a mask.

M. Kim, W. Choi, J. Chung, D. Lee and S. Jung, "KUIELab-MDX-Net: A two-stream neural network for music
demixing", MDX workshop at ISMIR 2021, arXiv 2111.12203.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import ConvNorm, set_weight
from soloist.networks.layers.onednn import multiply_into
from soloist.networks.unet.intermediate_blocks import BandLayer, DenseTransform
from soloist.resources import is_captured


class ConvTDFNet(SpectralNetwork):
    """U-Net of TFC-TDF blocks without dense connections, for one target.

    Args:
        channels: Channels of the spectrogram and of the output (four for a complex stereo one).
        num_bins: Frequencies of the spectrogram.
        num_input_bins: Lowest frequencies, which the network sees and estimates, divisible by two as often as
            there are levels; the others are estimated as zero.
        num_muted_bins: Lowest frequencies of those, which the network sees as zeros.
        num_blocks: Blocks of encoder, middle and decoder together; odd.
        growth: Channels of the top level, and further ones at each level below.
        layers: Convolutions of a block.
        kernel: Bins and frames of a kernel, odd.
        bottleneck_factor: Ratio of bins to units of the fully connected layers. 0 for one layer without a
            bottleneck; None for blocks of convolutions alone.
        bias: Give the fully connected layers a bias.
        norm_groups: Groups of group norms; None for BatchNorm.

    Raises:
        UsageError: The number of blocks or the kernel is even, or the bins cannot be halved at each level.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("exit",)

    def __init__(
        self,
        channels: int = 4,
        *,
        num_bins: int = 3073,
        num_input_bins: int = 2048,
        num_muted_bins: int = 0,
        num_blocks: int = 11,
        growth: int = 32,
        layers: int = 3,
        kernel: int = 3,
        bottleneck_factor: int | None = 8,
        bias: bool = False,
        norm_groups: int | None = None,
    ) -> None:
        super().__init__()
        depth = num_blocks // 2
        if num_blocks % 2 == 0 or kernel % 2 == 0:
            raise UsageError(f"num_blocks {num_blocks} and kernel {kernel} must be odd")
        if num_input_bins > num_bins or num_input_bins % 2**depth or num_muted_bins >= num_input_bins:
            raise UsageError(
                f"num_input_bins {num_input_bins} must exceed num_muted_bins {num_muted_bins}, not num_bins "
                f"{num_bins}, and be divisible by {2**depth}, for {num_blocks} blocks"
            )
        self.num_bins, self.num_input_bins, self.num_muted_bins = num_bins, num_input_bins, num_muted_bins
        self.depth = depth
        self.frame_radius = layers * (kernel // 2) if norm_groups is None else None
        self.memory_format = torch.contiguous_format
        widths = [growth * (level + 1) for level in range(depth + 1)]

        def block(level: int) -> nn.Module:
            width, bins = widths[level], num_input_bins >> level
            convolutions = nn.Sequential(
                *(
                    ConvNorm(nn.Conv2d(width, width, kernel, padding=kernel // 2), "relu", norm_groups)
                    for _ in range(layers)
                )
            )
            if bottleneck_factor is None:
                return convolutions
            sizes = [bins, bins // bottleneck_factor, bins] if bottleneck_factor else [bins, bins]
            transform = nn.Sequential(
                *(
                    BandLayer(
                        width, before, after, activation="relu", bias=bias, affine=True, groups=norm_groups
                    )
                    for before, after in pairwise(sizes)
                )
            )
            return DenseTransform(convolutions, transform)

        self.entry = ConvNorm(nn.Conv2d(channels, growth, 1), "relu", norm_groups)
        self.encoders = nn.ModuleList(block(level) for level in range(depth))
        self.downs = nn.ModuleList(
            ConvNorm(nn.Conv2d(fine, coarse, 2, 2), "relu", norm_groups) for fine, coarse in pairwise(widths)
        )
        self.middle = block(depth)
        self.ups = nn.ModuleList(
            ConvNorm(nn.ConvTranspose2d(coarse, fine, 2, 2), "relu", norm_groups)
            for coarse, fine in pairwise(reversed(widths))
        )
        self.decoders = nn.ModuleList(block(level) for level in reversed(range(depth)))
        self.exit = nn.Conv2d(growth, channels, 1)

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None if unbounded."""
        if self.frame_radius is None:
            return None
        radius = self.frame_radius
        for _ in range(self.depth):
            # A coarse frame covers two fine ones: the farther neighbour of a pair counts.
            radius = 2 * radius + 1 + 2 * self.frame_radius
        return radius

    @property
    def stride(self) -> int:
        """Shift of the input, in frames, that shifts the output by as many."""
        return 2**self.depth

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, channels, num_bins, frames)` to the same shape.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        bins, frames = spectrogram.shape[-2:]
        if bins != self.num_bins:
            raise UsageError(f"the network is made for {self.num_bins} bins and was given {bins}")
        seen = spectrogram[:, :, self.num_muted_bins : self.num_input_bins]
        seen = pad(seen, (0, -frames % self.stride, self.num_muted_bins, 0))
        estimates = self._map(seen.contiguous(memory_format=self.memory_format))
        estimates = pad(estimates, (0, 0, 0, bins - self.num_input_bins))
        # In a graph, a slice would be fixed to the case of the example: frames to cut, or none.
        return pad(estimates, (0, frames - estimates.shape[-1])) if is_captured() else estimates[..., :frames]

    def optimize(self) -> None:
        """Choose the fastest memory layout on a CPU: channels last."""
        self.memory_format = torch.channels_last
        set_weight(self.exit, self.exit.weight.detach(), self.exit.bias)

    def _map(self, x: Tensor) -> Tensor:
        """Map the bins that the network sees, `(batch, channels, frequency, frames)`, to as many."""
        x = self.entry(x)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(multiply_into(up(x), skips.pop()))
        return self.exit(x)
