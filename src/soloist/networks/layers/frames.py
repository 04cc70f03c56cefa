"""Layers on features `(batch, channels, frames)` that keep the memory layout of their input.

One-dimensional layers of PyTorch return the frames of a channel next to each other. The other layout, with
the channels of a frame next to each other ("channels last"), suits a CPU better: a convolution over one frame
is a single matrix product, and a depthwise one takes a fraction of the time. Two-dimensional layers keep that
layout, so the layers here treat the frames as the columns of an image with one row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from soloist.networks.layers.onednn import project
from soloist.resources import is_captured


def channels_last(x: Tensor) -> Tensor:
    """Return `(batch, channels, frames)` with the channels of a frame next to each other in memory.

    On other devices than a CPU, with gradients, and in graphs, return the tensor as it is.
    """
    pays = x.device.type == "cpu" and not torch.is_grad_enabled() and not is_captured()
    return x.transpose(1, 2).contiguous().transpose(1, 2) if pays else x


def add_repeated(fine: Tensor, coarse: Tensor) -> Tensor:
    """Add a coarse `(batch, channels, frames / 2)`, each frame twice, to a fine `(batch, channels, frames)`.

    Without gradients, `fine` is overwritten.
    """
    if torch.is_grad_enabled() or is_captured():
        return fine + F.interpolate(coarse, scale_factor=2.0)
    fine.unflatten(-1, (-1, 2)).add_(coarse[..., None])
    return fine


class FrameConv(nn.Conv1d):
    """One-dimensional convolution that keeps the memory layout of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)`."""
        return self.convolve(x, self.weight)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve `(batch, channels, frames)` with other weights of the same shape."""
        if x.stride(1) != 1:
            return self._conv_forward(x, weight, self.bias)
        if self.kernel_size == (1,) and self.groups == 1:
            return project(x.transpose(1, 2), weight[:, :, 0], self.bias).transpose(1, 2)
        row, weight = x[:, :, None], weight[:, :, None]
        stride, padding = (1, self.stride[0]), (0, int(self.padding[0]))
        dilation = (1, self.dilation[0])
        return F.conv2d(row, weight, self.bias, stride, padding, dilation, self.groups)[:, :, 0]


class Slope(nn.PReLU):
    """PReLU with a fast gradient on a CPU, and in place after `optimize`.

    Args:
        num_parameters: 1 for one slope, or the number of channels for one slope each.
    """

    slope: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the negative values of `(batch, channels, frames)` by the slope."""
        if self.slope is not None:
            return F.leaky_relu_(x, self.slope)
        if self.num_parameters == 1 and x.is_cpu and torch.is_grad_enabled():
            learned: Tensor = _LearnedSlope.apply(x, self.weight)
            return learned
        return super().forward(x)

    def optimize(self) -> None:
        """Fix the slope, if all channels share one."""
        self.slope = self.weight.item() if self.num_parameters == 1 else None


class _LearnedSlope(torch.autograd.Function):
    """PReLU with one slope, whose gradient is one inner product instead of a value for each sample."""

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
