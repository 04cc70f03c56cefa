"""Causal SuDoRM-RF: no normalisation, longer filters that see only the past.

Without normalisations the network keeps its input's level; the blocks begin as the identity ("SkipInit",
De and Smith 2020).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.frames import FrameConv, Slope, channels_last
from soloist.networks.sudormrf.improved import Pyramid


class CausalConv(FrameConv):
    """A centred convolution whose taps on the future are masked out.

    The taps are stored all the same, as in the published weights and counts.

    Args:
        channels: Channels of input and output; each is convolved by itself.
        kernel_size: Frames, odd; half of them and the present one count.
        stride: Distance of the output's frames.
    """

    past: Tensor

    def __init__(self, channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel_size, stride, padding=kernel_size // 2, groups=channels)
        self.register_buffer(
            "past", (torch.arange(kernel_size) <= kernel_size // 2).float(), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)`."""
        return self.convolve(x, self.weight * self.past)


class CausalUBlock(nn.Module):
    """A U-block without normalisations, with a learned gain of its change that begins at zero.

    Args:
        channels: Channels of input and output.
        hidden_channels: Channels of the resolutions.
        depth: Number of resolutions.
        kernel_size: Frames of the convolutions, the masked ones included.
    """

    def __init__(self, channels: int, hidden_channels: int, depth: int, kernel_size: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(FrameConv(channels, hidden_channels, 1), Slope())
        self.pyramid = Pyramid(
            [
                nn.Sequential(CausalConv(hidden_channels, kernel_size, stride=2 if i else 1), Slope())
                for i in range(depth)
            ]
        )
        self.narrow = FrameConv(hidden_channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)`."""
        return x + self.gain * self.narrow(self.pyramid(self.widen(x)))


class CausalSuDoRMRF(MaskNetwork):
    """The causal network. It estimates the sources' features themselves, not masks.

    An output frame depends on no later frame.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        hidden_channels: Channels inside the blocks.
        num_blocks: Number of blocks.
        depth: Resolutions in a block, each half of the one before.
        num_outputs: Channels of all sources.
        kernel_size: Frames of the convolutions in a block, odd, the masked future included.
    """

    def __init__(
        self,
        num_filters: int = 512,
        channels: int = 256,
        hidden_channels: int = 512,
        num_blocks: int = 16,
        depth: int = 5,
        num_outputs: int = 2,
        kernel_size: int = 21,
    ) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.depth = depth
        self.kernel_size = kernel_size
        self.frame_multiple = 2**depth
        self.bottleneck = FrameConv(num_filters, channels, 1)
        self.blocks = nn.Sequential(
            *(CausalUBlock(channels, hidden_channels, depth, kernel_size) for _ in range(num_blocks))
        )
        self.estimate = nn.Sequential(Slope(), FrameConv(channels, num_outputs * num_filters, 1), Slope())

    @property
    def receptive_field(self) -> int:
        """Frames of the past that an output frame can depend on; of the future there are none.

        In a block the resolutions reach `kernel_size // 2` of their input's frames back, one after the
        other: `kernel_size // 2 * 2 ** (depth - 1)` together. The coarsest one stands still for
        `2 ** (depth - 1)` frames, which counts once, since the next block begins on the same grid.
        """
        coarsest = 2 ** (self.depth - 1)
        return len(self.blocks) * (self.kernel_size // 2) * coarsest + coarsest - 1

    @property
    def lookahead(self) -> int:
        """None of the future."""
        return 0

    def forward(self, features: Tensor) -> Tensor:
        """The sources' features `(batch, outputs, filters, frames)` from `(batch, filters, frames)`."""
        x = self.estimate(self.blocks(self.bottleneck(channels_last(features))))
        return rearrange(x, "b (o n) t -> b o n t", o=self.num_outputs)
