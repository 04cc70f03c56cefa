"""SuDoRM-RF++: successive down-sampling and resampling of multi-resolution features.

    features - norm - bottleneck - U-block - ... - U-block - slope - 1 x 1 convolution - ReLU - masks

Tzinis, Wang, Jiang and Smaragdis, "Compute and memory efficient universal sound source separation",
Journal of Signal Processing Systems 94, 2022. The original network is in `original`.
"""

from __future__ import annotations

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.frames import FrameConv, Slope, add_repeated, channels_last
from soloist.networks.layers.normalization import GlobalNorm


class Pyramid(nn.Module):
    """Convolutions at halving resolutions, whose outputs are summed at the highest.

        x -> level 0 -> level 1 (half the frames) -> level 2 (a quarter) ...
                |           |                           |
                +<- twice --+<--------- twice ----------+

    Args:
        levels: Modules on `(batch, channels, frames)` that keep the channels; all but the first halve the
            frames.
    """

    def __init__(self, levels: Sequence[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to the same shape.

        Raises:
            UsageError: The number of frames is not a multiple of `2 ** (levels - 1)`.
        """
        multiple = 2 ** (len(self.levels) - 1)
        if x.shape[-1] % multiple:
            raise UsageError(
                f"{x.shape[-1]} frames cannot be halved {len(self.levels) - 1} times: "
                f"pad the mixture to a multiple of {multiple} hops"
            )
        resolutions = []
        for level in self.levels:
            x = level(x)
            resolutions.append(x)
        total = resolutions.pop()
        while resolutions:
            total = add_repeated(resolutions.pop(), total)
        return total


def normalized_levels(channels: int, depth: int) -> list[nn.Module]:
    """Levels of a pyramid: depthwise convolutions over five frames, each with a normalisation."""
    strides = [1] + [2] * (depth - 1)
    return [
        nn.Sequential(
            FrameConv(channels, channels, 5, stride, padding=2, groups=channels),
            GlobalNorm(channels, inplace=True),
        )
        for stride in strides
    ]


class UBlock(nn.Module):
    """Residual block: 1 x 1 convolution to more channels, pyramid of resolutions, 1 x 1 convolution back.

    Args:
        channels: Channels of input and output.
        hidden_channels: Channels of the pyramid.
        pyramid: Module on `(batch, hidden_channels, frames)` with many resolutions.
        slopes_per_channel: Give activations a slope for each channel, instead of one for all.
    """

    def __init__(
        self, channels: int, hidden_channels: int, pyramid: nn.Module, slopes_per_channel: bool = False
    ) -> None:
        super().__init__()
        slopes = hidden_channels if slopes_per_channel else 1
        self.widen = FrameConv(channels, hidden_channels, 1)
        self.widen_norm = GlobalNorm(hidden_channels, inplace=True)
        self.widen_activation = Slope(slopes)
        self.pyramid = pyramid
        self.norm = GlobalNorm(hidden_channels, inplace=True)
        self.activation = Slope(slopes)
        self.narrow = FrameConv(hidden_channels, channels, 1)

    def change(self, x: Tensor) -> Tensor:
        """Compute the residual of `(batch, channels, frames)`, of the same shape."""
        wide = self.widen_activation(self.widen_norm(self.widen(x)))
        return self.narrow(self.activation(self.norm(self.pyramid(wide))))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to the same shape."""
        return self.change(x).add_(x)


class ReluMaskNetwork(MaskNetwork):
    """Normalisation, bottleneck, blocks, and ReLU masks.

    Masks may exceed one, and need not sum to one.

    Args:
        blocks: Sequence of modules on `(batch, channels, frames)` that keep the shape.
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        num_outputs: Channels of all sources.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], num_filters: int, channels: int, num_outputs: int
    ) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.norm = GlobalNorm(num_filters)
        self.bottleneck = FrameConv(num_filters, channels, 1)
        self.blocks = nn.Sequential(*blocks)
        self.mask_activation = Slope()
        self.mask = FrameConv(channels, num_outputs * num_filters, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        x = self.blocks(self.bottleneck(self.norm(channels_last(features))))
        masks = self.mask(self.mask_activation(x)).relu_()
        return rearrange(masks, "b (o n) t -> b o n t", o=self.num_outputs)


class SuDoRMRF(ReluMaskNetwork):
    """SuDoRM-RF++, the improved network.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        hidden_channels: Channels inside the blocks.
        num_blocks: Number of blocks.
        depth: Resolutions in a block, each half of the one before.
        num_outputs: Channels of all sources.
        slopes_per_channel: Give activations inside the blocks a slope for each channel, instead of one for
            all.
    """

    def __init__(
        self,
        num_filters: int = 512,
        channels: int = 256,
        hidden_channels: int = 512,
        num_blocks: int = 16,
        depth: int = 5,
        num_outputs: int = 2,
        slopes_per_channel: bool = False,
    ) -> None:
        blocks = [
            UBlock(
                channels,
                hidden_channels,
                Pyramid(normalized_levels(hidden_channels, depth)),
                slopes_per_channel,
            )
            for _ in range(num_blocks)
        ]
        super().__init__(blocks, num_filters, channels, num_outputs)
        self.frame_multiple = 2**depth
