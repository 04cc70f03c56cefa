"""Conv-TasNet: depthwise convolutions whose dilation doubles from block to block.

Luo and Mesgarani, "Conv-TasNet: Surpassing ideal time-frequency magnitude masking for speech separation",
IEEE/ACM Transactions on Audio, Speech, and Language Processing 27(8), 2019.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.frames import FrameConv, Slope, channels_last
from soloist.networks.layers.mask_head import MaskActivation, MaskHead
from soloist.networks.layers.normalization import CumulativeNorm, GlobalNorm
from soloist.resources import is_captured


class DilatedConv(FrameConv):
    """A dilated convolution of each channel by itself; as many frames come out as went in.

    Args:
        channels: Channels of input and output.
        kernel_size: Taps; odd, if it is not causal.
        dilation: Distance of the taps, frames.
        causal: Whether the last tap, and not the middle one, stands on the frame itself.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int, causal: bool = False) -> None:
        rows = kernel_size - 1 if causal else kernel_size // 2
        super().__init__(
            channels, channels, kernel_size, padding=rows * dilation, dilation=dilation, groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)`."""
        # What is exported or compiled shall keep the plain convolution.
        if self.dilation == (1,) or not x.is_cpu or is_captured():
            return self.convolve(x, self.weight)[..., : x.shape[-1]]
        return self._convolve_folded(x)

    def _convolve_folded(self, x: Tensor) -> Tensor:
        """Convolve along the columns of a picture whose rows have `dilation` frames.

        Its taps are neighbours there, which takes a CPU a quarter of the time.
        """
        frames, dilation = x.shape[-1], self.dilation[0]
        missing = -frames % dilation
        by_frame = x.transpose(1, 2)
        by_frame = F.pad(by_frame, (0, 0, 0, missing)) if missing else by_frame
        picture = rearrange(by_frame, "b (r d) c -> b c r d", d=dilation)
        padding = (int(self.padding[0]) // dilation, 0)
        weight = self.weight[..., None]
        picture = F.conv2d(picture, weight, self.bias, padding=padding, groups=self.groups)
        return rearrange(picture, "b c r d -> b c (r d)")[..., :frames]


class ConvBlock(nn.Module):
    """Widens features, convolves them, and narrows them to a change of its input and a part of the output.

    Args:
        channels: Channels of the input and of the change.
        hidden_channels: Channels that are convolved.
        skip_channels: Channels of the part of the output.
        kernel_size: Taps of the convolution.
        dilation: Their distance, frames.
        causal: Whether no frame depends on a later one.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        skip_channels: int,
        kernel_size: int,
        dilation: int,
        causal: bool,
    ) -> None:
        super().__init__()
        norm = CumulativeNorm if causal else GlobalNorm
        self.sizes = [channels, skip_channels]
        self.layers = nn.Sequential(
            FrameConv(channels, hidden_channels, 1),
            Slope(),
            norm(hidden_channels, inplace=True),
            DilatedConv(hidden_channels, kernel_size, dilation, causal),
            Slope(),
            norm(hidden_channels, inplace=True),
            # The convolutions for the change and for the output in one matrix product.
            FrameConv(hidden_channels, channels + skip_channels, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The change `(batch, channels, frames)`, and the part `(batch, skip_channels, frames)`."""
        change, part = self.layers(x).split(self.sizes, dim=1)
        return change, part


class ConvTasNet(MaskNetwork):
    """Masks by a stack of dilated convolutions, all of which contribute to the output.

    As published, the last block too has the weights of a change of its input, which nobody reads.

    Args:
        num_filters: Filters of the filterbank; N in the paper.
        channels: Channels between the blocks; B.
        hidden_channels: Channels that are convolved in a block; H.
        skip_channels: Channels of the sum of what the blocks contribute; Sc.
        kernel_size: Taps of a convolution; P. Odd, if the network is not causal.
        num_blocks: Blocks of a repeat, whose dilations are 1, 2, 4, ...; X.
        num_repeats: Repeats of these blocks; R.
        num_outputs: Channels of all sources.
        causal: Whether no frame depends on a later one; normalisations are then cumulative, not global.
        activation: What makes masks: "sigmoid", "relu", or "softmax" over the outputs.

    Raises:
        UsageError: The kernel has no middle, or there is no such activation.
    """

    def __init__(
        self,
        num_filters: int = 512,
        channels: int = 128,
        hidden_channels: int = 512,
        skip_channels: int = 128,
        kernel_size: int = 3,
        num_blocks: int = 8,
        num_repeats: int = 3,
        num_outputs: int = 2,
        causal: bool = False,
        activation: MaskActivation = "sigmoid",
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 and not causal:
            raise UsageError(f"kernel_size {kernel_size} must be odd, so that a frame stands in its middle")
        self.norm = CumulativeNorm(num_filters) if causal else GlobalNorm(num_filters)
        self.bottleneck = FrameConv(num_filters, channels, 1)
        self.blocks = nn.ModuleList(
            ConvBlock(channels, hidden_channels, skip_channels, kernel_size, 2**exponent, causal)
            for _ in range(num_repeats)
            for exponent in range(num_blocks)
        )
        self.slope = Slope()
        self.masks = MaskHead(skip_channels, num_filters, num_outputs, activation)
        self.convolved_frames = 1 + num_repeats * (kernel_size - 1) * (2**num_blocks - 1)
        """Frames that the convolutions see, the paper's receptive field; the normalisations see more."""
        self.causal = causal

    @property
    def lookahead(self) -> int | None:
        """Nothing of the future in a causal network; all of it otherwise, for the normalisations."""
        return 0 if self.causal else None

    def forward(self, features: Tensor) -> Tensor:
        """Masks `(batch, outputs, filters, frames)` for features `(batch, filters, frames)`."""
        x = self.bottleneck(self.norm(channels_last(features)))
        total: Tensor | None = None
        for block in self.blocks:
            change, part = block(x)
            x = _add(x, change)
            total = part if total is None else _add(total, part)
        return self.masks(self.slope(total))


def _add(total: Tensor, part: Tensor) -> Tensor:
    """Their sum, in the place of the total where no gradients are wanted."""
    return total + part if torch.is_grad_enabled() else total.add_(part)
