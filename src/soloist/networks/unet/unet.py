"""The U-Net on spectrograms that carries the intermediate blocks of Choi et al. (ISMIR 2020).

    spectrogram - entry - block --------------------------------- block - exit - mask or spectrogram
                            down - block ----------------- block - up
                                     down - ... block ... - up

A transform of even length has an odd number of bins: the two taps of the entry make one less of them,
those of the exit one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Literal, cast

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
    """A U-Net whose blocks are of one design, at any number of levels.

    Args:
        block: The design of the blocks.
        input_channels: Channels of the spectrogram (for a stereo complex one: four).
        output_channels: Channels of the output; None for those of the input.
        internal_channels: Channels inside.
        num_blocks: Blocks on the way down, in the middle and on the way up; odd.
        num_bins: Frequencies of the spectrogram.
        time_levels: Levels, from 0 at the top, whose down-sampling halves the frames; None for all.
        frequency_levels: Levels whose down-sampling halves the bins; None for all.
        first_activation: What follows the entry and its norm.
        last_activation: What follows the exit.
        initialization: How weights are drawn: by one rule for all ("xavier", "kaiming"), or for each
            layer the one that suits its activation.

    Raises:
        UsageError: An even number of blocks, or a level that does not exist.
    """

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
        """Frames on either side that an output frame can depend on; None where there is no bound."""
        if self.frame_radius is None:
            return None
        radius = self.frame_radius
        for scale in reversed(self.time_scales):
            # A coarse frame stands for `scale` fine ones: the farther neighbour of a pair counts.
            radius = scale * radius + (scale - 1) + 2 * self.frame_radius
        return radius

    @property
    def stride(self) -> int:
        """Frames by which an input may be shifted so that the output only shifts with it."""
        return 2 ** self.time_scales.count(2)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, input_channels, num_bins, frames)` to `(batch, output_channels, num_bins, frames)`.

        Raises:
            UsageError: Another number of bins than the network was made for.
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
        """Lay the spectrogram out for a CPU.

        The channels are last. If no frame sees another, their bins are next to each other, and as many are
        taken at a time as stay in the cache.
        """
        self.memory_format = torch.channels_last
        if self.receptive_field == 0 and self.stride == 1:
            self.frames_at_once = 32
            self._put_frames_first()
        set_weight(self.exit, self.exit.weight.detach(), cast(Tensor, self.exit.bias).detach())

    def _map(self, spectrogram: Tensor) -> Tensor:
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
        # A slice would tie a graph to whether there was something to cut.
        return pad(x, (0, frames - x.shape[-1])) if is_captured() else x[..., :frames]

    def _put_frames_first(self) -> None:
        """Have all layers map `(batch, channels, frames, frequency)`, if they are convolutions alone."""
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
    """By how much each level divides its axis: two where it is listed (or nothing is), else one."""
    if levels is None:
        return [2] * depth
    if not set(levels) <= set(range(depth)):
        raise UsageError(f"{name} {list(levels)} must lie in 0..{depth - 1}")
    return [2 if level in levels else 1 for level in range(depth)]
