"""U-Net on spectrograms with the intermediate blocks of Choi et al. (ISMIR 2020).

    spectrogram - entry - block --------------------------------- block - exit - mask or spectrogram
                            down - block ----------------- block - up
                                     down - ... block ... - up

A Fourier transform of even length has an odd number of bins: the two taps of the entry remove one, those of
the exit add one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import (
    Activation,
    ConvNorm,
    initialize,
    make_activation,
    set_weight,
    swap_axes,
)
from soloist.networks.unet.dense_blocks import DenseConvolution
from soloist.networks.unet.intermediate_blocks import BandLayer, BlockDesign
from soloist.resources import is_captured


class UNet(SpectralNetwork):
    """U-Net with blocks of one design, at any number of levels.

    Args:
        block: Design of the blocks.
        input_channels: Channels of the spectrogram (four for a complex stereo one).
        output_channels: Channels of the output. If None, as many as `input_channels`.
        internal_channels: Channels of the blocks.
        num_blocks: Blocks of encoder, middle and decoder together; odd.
        num_bins: Frequencies of the spectrogram.
        time_levels: Levels, from 0 at the top, that halve the frames. If None, all.
        frequency_levels: Levels that halve the bins. If None, all.
        first_activation: Activation after the entry and its norm.
        last_activation: Activation after the exit.
        initialization: Rule for the weights: "xavier" or "kaiming" for all layers, or "layer" for the rule
            that suits the activation of each.

    Raises:
        UsageError: The number of blocks is even, or a level does not exist.
    """

    full_precision: ClassVar[tuple[str, ...]] = ("exit",)

    def __init__(
        self,
        block: BlockDesign,
        *,
        input_channels: int = 4,
        output_channels: int | None = None,
        internal_channels: int = 24,
        num_blocks: int = 7,
        num_bins: int = 1025,
        time_levels: Sequence[int] | None = None,
        frequency_levels: Sequence[int] | None = None,
        first_activation: Activation = "relu",
        last_activation: Activation = "identity",
        initialization: Literal["layer", "xavier", "kaiming"] = "layer",
    ) -> None:
        super().__init__()
        if num_blocks < 1 or num_blocks % 2 == 0:
            raise UsageError(f"a U-Net has an odd number of blocks, not {num_blocks}")
        self.num_bins = num_bins
        self.frame_radius = block.frame_radius
        self.time_scales = _scales("time_levels", time_levels, num_blocks // 2)
        frequency_scales = _scales("frequency_levels", frequency_levels, num_blocks // 2)
        self.frequency_stride = 2 ** frequency_scales.count(2)
        even_bins = -(-(num_bins - 1) // self.frequency_stride) * self.frequency_stride
        *bins, middle_bins = [even_bins // scale for scale in accumulate([1, *frequency_scales], mul)]
        kernels = list(zip(frequency_scales, self.time_scales, strict=True))
        channels = internal_channels

        self.entry = ConvNorm(nn.Conv2d(input_channels, channels, (2, 1)), first_activation)
        self.encoders = nn.ModuleList(block.build(channels, channels, count) for count in bins)
        self.downs = nn.ModuleList(ConvNorm(nn.Conv2d(channels, channels, k, k)) for k in kernels)
        self.middle = block.build(channels, channels, middle_bins)
        self.ups = nn.ModuleList(
            ConvNorm(nn.ConvTranspose2d(channels, channels, k, k)) for k in reversed(kernels)
        )
        self.decoders = nn.ModuleList(block.build(2 * channels, channels, count) for count in reversed(bins))
        self.exit = nn.Conv2d(channels, output_channels or input_channels, (2, 1), padding=(1, 0))
        self.last_activation = make_activation(last_activation)
        self.memory_format = torch.contiguous_format
        self.frames_first = False
        self.frames_at_once: int | None = None
        self._initialize(initialization, block.activation, first_activation, last_activation)

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None if unbounded."""
        if self.frame_radius is None:
            return None
        radius = self.frame_radius
        for scale in reversed(self.time_scales):
            # A coarse frame covers `scale` fine ones: the farther neighbour of a pair counts.
            radius = scale * radius + (scale - 1) + 2 * self.frame_radius
        return radius

    @property
    def stride(self) -> int:
        """Shift of the input, in frames, that shifts the output by as many."""
        return 2 ** self.time_scales.count(2)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, input_channels, num_bins, frames)` to `(batch, output_channels, num_bins, frames)`.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        bins, frames = spectrogram.shape[-2:]
        if bins != self.num_bins:
            raise UsageError(f"the network is made for {self.num_bins} bins and was given {bins}")
        at_once = self.frames_at_once
        if at_once is None or is_captured() or frames <= at_once or not spectrogram.is_cpu:
            return self._map(spectrogram)
        parts = spectrogram.tensor_split(-(-frames // at_once), dim=-1)
        return torch.cat([self._map(part) for part in parts], dim=-1)

    def optimize(self) -> None:
        """Choose the fastest memory layout on a CPU: channels last.

        If frames are independent, store the bins of a frame next to each other as well, and process as many
        frames at a time as fit in the cache.
        """
        self.memory_format = torch.channels_last
        if self.receptive_field == 0 and self.stride == 1:
            self.frames_at_once = 32
            self._put_frames_first()
        set_weight(self.exit, self.exit.weight.detach(), cast(Tensor, self.exit.bias).detach())

    def _map(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, input_channels, num_bins, frames)` to `(batch, output_channels, num_bins, frames)`."""
        bins, frames = spectrogram.shape[-2:]
        # Zeros above the highest bin and after the last frame make both divisible.
        missing = (0, -frames % self.stride, 0, -(bins - 1) % self.frequency_stride)
        x = pad(spectrogram, missing) if is_captured() or any(missing) else spectrogram
        x = x.transpose(-1, -2) if self.frames_first else x
        x = self.entry(x.contiguous(memory_format=self.memory_format))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(torch.cat([up(x), skips.pop()], dim=1))
        x = self.last_activation(self.exit(x))
        x = (x.transpose(-1, -2) if self.frames_first else x)[..., :bins, :]
        # In a graph, a slice would be fixed to the case of the example: frames to cut, or none.
        return pad(x, (0, frames - x.shape[-1])) if is_captured() else x[..., :frames]

    def _put_frames_first(self) -> None:
        """Let all layers map `(batch, channels, frames, frequency)`, if all of them are convolutions."""
        blocks = [*self.encoders, self.middle, *self.decoders]
        if not self.frames_first and all(isinstance(block, DenseConvolution) for block in blocks):
            self.frames_first = True
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                    swap_axes(layer)

    def _initialize(
        self,
        rule: Literal["layer", "xavier", "kaiming"],
        inside: Activation,
        first: Activation,
        last: Activation,
    ) -> None:
        initialize(self.entry, first, rule=rule)
        initialize(self.exit, last, rule=rule)
        for part in (self.encoders, self.middle, self.decoders):
            initialize(part, inside, rule=rule)
        for part in (self.downs, self.ups):
            initialize(part, "identity", rule=rule)
        for module in self.modules():
            if isinstance(module, BandLayer) and module.keep_bands:
                module.reset_to_bands()


def _scales(name: str, levels: Sequence[int] | None, depth: int) -> list[int]:
    """Divisor of an axis at each level: 2 if the level is listed or `levels` is None, else 1."""
    if levels is None:
        return [2] * depth
    if not set(levels) <= set(range(depth)):
        raise UsageError(f"{name} {list(levels)} must lie in 0..{depth - 1}")
    return [2 if level in levels else 1 for level in range(depth)]
