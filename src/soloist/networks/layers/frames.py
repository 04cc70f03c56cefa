"""Layers on features `(batch, channels, frames)` that keep the layout of their input in memory.

PyTorch's one-dimensional layers lay out their results with the frames of a channel next to each other.
The other layout, with the channels of a frame next to each other ("channels last"), suits a CPU better:
a convolution over one frame is a single matrix product, and a depthwise one takes a fraction of the time.
The two-dimensional layers know it, so the ones here treat the frames as the columns of a single row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from soloist.networks.layers.onednn import has_onednn, linear
from soloist.resources import is_captured


def channels_last(x: Tensor) -> Tensor:
    """The same `(batch, channels, frames)`, with the channels of a frame next to each other where that pays.

    That is on a CPU and without gradients.
    """
    pays = x.device.type == "cpu" and not torch.is_grad_enabled() and not is_captured()
    return x.transpose(1, 2).contiguous().transpose(1, 2) if pays else x


def add_repeated(fine: Tensor, coarse: Tensor) -> Tensor:
    """Add a coarse `(batch, channels, frames / 2)`, each frame twice, to a fine `(batch, channels, frames)`.

    The fine one is overwritten where no gradients are wanted.
    """
    if torch.is_grad_enabled() or is_captured():
        return fine + F.interpolate(coarse, scale_factor=2.0)
    fine.unflatten(-1, (-1, 2)).add_(coarse[..., None])
    return fine


class FrameConv(nn.Conv1d):
    """A one-dimensional convolution that keeps its input's layout in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)`."""
        return self.convolve(x, self.weight)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)` with other weights of the same shape."""
        if x.stride(1) != 1:
            return self._conv_forward(x, weight, self.bias)
        if self.kernel_size == (1,) and self.groups == 1:
            map_frames = linear if has_onednn(x) else F.linear
            return map_frames(x.transpose(1, 2), weight[:, :, 0], self.bias).transpose(1, 2)
        row, weight = x[:, :, None], weight[:, :, None]
        stride, padding = (1, self.stride[0]), (0, int(self.padding[0]))
        dilation = (1, self.dilation[0])
        return F.conv2d(row, weight, self.bias, stride, padding, dilation, self.groups)[:, :, 0]


class Slope(nn.PReLU):
    """A PReLU that overwrites its input once it is optimised, and that is trained faster on a CPU.

    Args:
        num_parameters: One slope for all channels, or one for each.
    """

    slope: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Multiply what is negative in `(batch, channels, frames)` by the slope."""
        if self.slope is not None:
            return F.leaky_relu_(x, self.slope)
        if self.num_parameters == 1 and x.is_cpu and torch.is_grad_enabled():
            learned: Tensor = _LearnedSlope.apply(x, self.weight)
            return learned
        return super().forward(x)

    def optimize(self) -> None:
        """Fix a slope that is the same for all channels."""
        self.slope = self.weight.item() if self.num_parameters == 1 else None


class _LearnedSlope(torch.autograd.Function):
    """A PReLU with one slope for all, without the gradient of the slope at every sample by itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, slope.item())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        of_slope = torch.dot(gradient.flatten(), x.clamp(max=0).flatten()).reshape(slope.shape)
        return torch.ops.aten.leaky_relu_backward(gradient, x, slope.item(), False), of_slope
