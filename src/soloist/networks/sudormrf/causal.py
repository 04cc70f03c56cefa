"""Causal SuDoRM-RF: no normalisation, and longer filters over past frames.

Without normalisations the network preserves the level of the input. Blocks start as the identity ("SkipInit",
De and Smith 2020).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import conv1d

from soloist.networks.layers.carry import Carry
from soloist.networks.layers.contracts import MaskNetwork, State
from soloist.networks.layers.frames import FrameConv, Slope, channels_last
from soloist.networks.sudormrf.improved import Pyramid


class CausalConv(FrameConv):
    """Depthwise, centred convolution whose taps on future frames are masked out.

    The masked taps are parameters too, as in the published weights and counts.

    Args:
        channels: Channels of input and output.
        kernel_size: Taps, odd; half of them and the present one count.
        stride: Distance of output frames.
    """

    past: Tensor

    def __init__(self, channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel_size, stride, padding=kernel_size // 2, groups=channels)
        self.register_buffer(
            "past", (torch.arange(kernel_size) <= kernel_size // 2).float(), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to `(batch, channels, frames / stride)`."""
        return self.convolve(x, self.weight * self.past)

    def step(self, x: Tensor, carry: Carry) -> Tensor:
        """Map the next frames of a stream; with a stride of 2, a piece of one frame may give none.

        The memory is one frame longer where the next frame lies between two output frames.
        """
        reach, stride = self.kernel_size[0] // 2, self.stride[0]
        past = carry.recall(x.new_zeros(*x.shape[:2], reach))
        between = past.shape[-1] - reach
        whole = torch.cat([past, x], dim=-1)
        rest = (between + x.shape[-1]) % stride
        carry.keep(whole[..., whole.shape[-1] - reach - rest :])
        whole = whole[..., stride * between :]
        if whole.shape[-1] <= reach:
            return x[..., :0]
        return conv1d(whole, self.weight[..., : reach + 1], self.bias, stride, groups=self.groups)


class CausalUBlock(nn.Module):
    """U-block without normalisations, with a learned gain of the residual that starts at zero.

    Args:
        channels: Channels of input and output.
        hidden_channels: Channels of the resolutions.
        depth: Number of resolutions.
        kernel_size: Taps of the convolutions, the masked ones included.
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
        """Map `(batch, channels, frames)` to the same shape."""
        return x + self.gain * self.narrow(self.pyramid(self.widen(x)))

    def step(self, x: Tensor, carry: Carry) -> Tensor:
        """Map the next frames `(batch, channels, frames)` of a stream to the same shape."""
        resolutions, fine = [], self.widen(x)
        for level in self.pyramid.levels:
            conv, slope = level.children()
            fine = slope(conv.step(fine, carry))  # type: ignore[operator]
            resolutions.append(fine)
        total = resolutions.pop()
        while resolutions:
            total = _add_twice(resolutions.pop(), total, carry)
        return x + self.gain * self.narrow(total)


def _add_twice(fine: Tensor, coarse: Tensor, carry: Carry) -> Tensor:
    """Add coarse frames, each twice, to the next fine frames of a stream.

    A piece that ends between the two leaves the second one to the next piece.
    """
    begun = carry.recall(coarse[..., :0])
    coarse = torch.cat([begun, coarse], dim=-1)
    twice = torch.stack([coarse, coarse], dim=-1).flatten(-2)[..., begun.shape[-1] :]
    frames = fine.shape[-1]
    carry.keep(twice[..., frames:])
    return fine + twice[..., :frames]


class CausalSuDoRMRF(MaskNetwork):
    """Causal network, which estimates the features of the sources instead of masks.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        hidden_channels: Channels inside the blocks.
        num_blocks: Number of blocks.
        depth: Resolutions in a block, each half of the one before.
        num_outputs: Channels of all sources.
        kernel_size: Taps of the convolutions in a block, odd, the masked ones included.
    """

    # oneDNN 3 does not return from wide depthwise convolutions in bfloat16, channels last.
    full_precision: ClassVar[tuple[str, ...]] = ("blocks.*.levels.*.0",)

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
        """Past frames that an output frame can depend on; there are no future ones.

        In a block each resolution reaches `kernel_size // 2` input frames back, together
        `kernel_size // 2 * 2 ** (depth - 1)`. The coarsest resolution holds its value for `2 ** (depth - 1)`
        frames, which counts once, since the next block has the same grid.
        """
        coarsest = 2 ** (self.depth - 1)
        return len(self.blocks) * (self.kernel_size // 2) * coarsest + coarsest - 1

    @property
    def lookahead(self) -> int:
        """Frames of look-ahead: 0."""
        return 0

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to source features `(batch, outputs, filters, frames)`."""
        x = self.estimate(self.blocks(self.bottleneck(channels_last(features))))
        return rearrange(x, "b (o n) t -> b o n t", o=self.num_outputs)

    def step(self, frames: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Estimate from the next frames; see `Streaming`.

        The state has the same shapes after every `frame_multiple` frames.
        """
        carry = Carry(state)
        x = self.bottleneck(frames)
        for block in self.blocks:
            x = block.step(x, carry)  # type: ignore[operator]
        return rearrange(self.estimate(x), "b (o n) t -> b o n t", o=self.num_outputs), carry.state
