"""Conv-TasNet: masks by depthwise convolutions whose dilation doubles from block to block.

    features - norm - bottleneck - block (dilation 1) - block (2) - block (4) ... - last block
                                      |                  |           |                |
                                      +------------------+-----------+----------------+- sum - slope - masks

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
from soloist.networks.layers.normalization import NormScope, make_frame_norm
from soloist.resources import is_captured


class DilatedConv(FrameConv):
    """Depthwise dilated convolution that keeps the number of frames.

    Args:
        channels: Channels of input and output.
        kernel_size: Number of taps; odd unless causal.
        dilation: Distance of the taps, frames.
        causal: Align the last tap with the frame, instead of the middle one.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int, causal: bool = False) -> None:
        rows = kernel_size - 1 if causal else kernel_size // 2
        super().__init__(
            channels, channels, kernel_size, padding=rows * dilation, dilation=dilation, groups=channels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)`."""
        # Exported and compiled graphs keep the plain convolution.
        if self.dilation == (1,) or not x.is_cpu or is_captured():
            return self.convolve(x, self.weight)[..., : x.shape[-1]]
        return self._convolve_folded(x)

    def _convolve_folded(self, x: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)` along the columns of an image with rows of `dilation` frames.

        The taps are neighbours in a column, which takes a CPU a quarter of the time.
        """
        frames, dilation = x.shape[-1], self.dilation[0]
        missing = -frames % dilation
        by_frame = x.transpose(1, 2)
        by_frame = F.pad(by_frame, (0, 0, 0, missing)) if missing else by_frame
        image = rearrange(by_frame, "b (r d) c -> b c r d", d=dilation)
        padding = (int(self.padding[0]) // dilation, 0)
        weight = self.weight[..., None]
        image = F.conv2d(image, weight, self.bias, padding=padding, groups=self.groups)
        return rearrange(image, "b c r d -> b c (r d)")[..., :frames]


class ConvBlock(nn.Module):
    """1 x 1 convolution, depthwise convolution, and 1 x 1 convolutions to a residual and a skip connection.

    Args:
        channels: Channels of the input and of the residual.
        hidden_channels: Channels of the depthwise convolution.
        skip_channels: Channels of the skip connection.
        kernel_size: Taps of the depthwise convolution.
        dilation: Distance of the taps, frames.
        causal: Look at no later frame.
        norm: Scope of the norms.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        skip_channels: int,
        kernel_size: int,
        dilation: int,
        causal: bool,
        norm: NormScope,
    ) -> None:
        super().__init__()
        self.sizes = [channels, skip_channels]
        self.layers = nn.Sequential(
            FrameConv(channels, hidden_channels, 1),
            Slope(),
            make_frame_norm(norm, hidden_channels, inplace=True),
            DilatedConv(hidden_channels, kernel_size, dilation, causal),
            Slope(),
            make_frame_norm(norm, hidden_channels, inplace=True),
            # Residual and skip connection in one matrix product.
            FrameConv(hidden_channels, channels + skip_channels, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(batch, channels, frames)` to a residual of the same shape and a skip connection.

        Returns:
            `(batch, channels, frames)` and `(batch, skip_channels, frames)`.
        """
        residual, skip = self.layers(x).split(self.sizes, dim=1)
        return residual, skip


class ConvTasNet(MaskNetwork):
    """Masks by a stack of dilated convolutions with skip connections to the output.

    As published, the last block has the weights of a residual too, which no layer reads.

    Args:
        num_filters: Filters of the filterbank; N in the paper.
        channels: Channels between the blocks; B.
        hidden_channels: Channels of the depthwise convolutions; H.
        skip_channels: Channels of the skip connections; Sc. 0 for none: the last block alone decides the
            masks.
        kernel_size: Taps of a depthwise convolution; P. Odd unless causal.
        num_blocks: Blocks of a repeat, with dilations 1, 2, 4, ...; X.
        num_repeats: Repeats of the stack of blocks; R.
        num_outputs: Channels of all sources.
        causal: Look at no later frame.
        norm: Scope of the normalisations; None for cumulative ones if causal, else global ones.
        activation: Activation of the masks: "sigmoid", "relu", or "softmax" over the outputs.

    Raises:
        UsageError: The kernel has no middle, or the activation is unknown.
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
        norm: NormScope | None = None,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 and not causal:
            raise UsageError(f"kernel_size {kernel_size} must be odd, so that a frame stands in its middle")
        scope = norm or ("cumulative" if causal else "global")
        self.norm = make_frame_norm(scope, num_filters)
        self.bottleneck = FrameConv(num_filters, channels, 1)
        self.blocks = nn.ModuleList(
            ConvBlock(channels, hidden_channels, skip_channels, kernel_size, 2**exponent, causal, scope)
            for _ in range(num_repeats)
            for exponent in range(num_blocks)
        )
        self.slope = Slope()
        self.skips = skip_channels > 0
        self.masks = MaskHead(skip_channels or channels, num_filters, num_outputs, activation)
        self.convolved_frames = 1 + num_repeats * (kernel_size - 1) * (2**num_blocks - 1)
        """Receptive field of the convolutions, frames, as in the paper; normalisations reach farther."""
        self.causal = causal and scope != "global"

    @property
    def lookahead(self) -> int | None:
        """Frames of look-ahead: 0 if causal; None (unbounded) otherwise, because of the normalisations."""
        return 0 if self.causal else None

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        x = self.bottleneck(self.norm(channels_last(features)))
        skips: Tensor | None = None
        for block in self.blocks:
            residual, skip = block(x)
            x = _add(x, residual)
            skips = skip if skips is None else _add(skips, skip)
        return self.masks(self.slope(skips if self.skips else x))


def _add(total: Tensor, part: Tensor) -> Tensor:
    """Add `part` to `total`; without gradients, in place."""
    return total + part if torch.is_grad_enabled() else total.add_(part)
