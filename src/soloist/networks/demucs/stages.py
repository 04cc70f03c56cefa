"""Encoder and decoder stages of Demucs, for spectrograms and for waveforms.

All of them work on `(batch, channels, frequency, frames)`; a waveform has one row.
"""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.networks.demucs.branch_arithmetic import TILE
from soloist.networks.demucs.residual_branches import ResidualBranches
from soloist.networks.layers.gating import gate
from soloist.networks.layers.onednn import gelu_into, has_onednn, learns_on_cpu, lowered, project

Axis = Literal["frequency", "time"]
"""Axis that a stage shortens or lengthens."""


def along(axis: Axis, size: int, rest: int) -> tuple[int, int]:
    """Size along an axis, and the rest along the other, in the order frequency, time."""
    return (size, rest) if axis == "frequency" else (rest, size)


def make_norm(groups: int | None, channels: int) -> nn.Module:
    """Make a group norm; without groups a layer that does nothing."""
    return nn.Identity() if groups is None else nn.GroupNorm(groups, channels)


def channels_last(x: Tensor) -> Tensor:
    """Return `(batch, channels, frequency, frames)` with the channels next to each other in memory."""
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def convolve(x: Tensor, weight: Tensor, bias: Tensor, padding: list[int]) -> Tensor:
    """Convolve an input stored channels-last; one pixel at a time by a linear layer."""
    if weight.shape[2:] != (1, 1):
        return F.conv2d(x, weight, bias, padding=padding)
    return project(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)


class Downsampling(nn.Module):
    """Strided convolution along frequency or time; frames are padded to a multiple of the stride.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        axis: Axis of the convolution.
        kernel_size: Length of the kernel.
        stride: Stride of the convolution.
        padding: Zeros on either side.
    """

    def __init__(
        self, inputs: int, outputs: int, *, axis: Axis, kernel_size: int, stride: int, padding: int
    ) -> None:
        super().__init__()
        self.axis = axis
        self.stride = stride
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            along(axis, kernel_size, 1),
            along(axis, stride, 1),
            along(axis, padding, 0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shorten `(batch, inputs, frequency, frames)` along the axis."""
        if self.axis == "time":
            x = F.pad(x, (0, -x.shape[-1] % self.stride))
        shortened: Tensor = self.conv(x)
        return shortened


class Upsampling(nn.Module):
    """Transposed convolution along frequency or time, norm, and removal of the margins.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        axis: Axis of the convolution.
        kernel_size: Length of the kernel.
        stride: Stride of the convolution.
        padding: Length of the margins.
        norm_groups: Groups of the norm; None for no norm.
        activation: Apply a GELU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        axis: Axis,
        kernel_size: int,
        stride: int,
        padding: int,
        norm_groups: int | None,
        activation: bool,
    ) -> None:
        super().__init__()
        self.axis = axis
        self.padding = padding
        self.activation = activation
        self.conv = nn.ConvTranspose2d(inputs, outputs, along(axis, kernel_size, 1), along(axis, stride, 1))
        self.norm = make_norm(norm_groups, outputs)

    def forward(self, x: Tensor, length: int | None = None) -> Tensor:
        """Lengthen `(batch, inputs, frequency, frames)` along the axis.

        Args:
            x: Input.
            length: Frames of the result along time; None for all but the margins.
        """
        along_axis = 0 if self.axis == "frequency" else 1
        halves = self.conv.kernel_size[along_axis] == 2 * self.conv.stride[along_axis]
        if halves and has_onednn(x) and isinstance(self.norm, nn.Identity):
            return self._in_tiles(x, length)
        x = self.norm(self.conv(x))
        if self.axis == "frequency":
            x = x[:, :, self.padding : x.shape[2] - self.padding]
        else:
            x = x[..., self.padding :]
            x = x[..., : x.shape[-1] - self.padding if length is None else length]
        return F.gelu(x) if self.activation else x

    def _in_tiles(self, x: Tensor, length: int | None) -> Tensor:
        """`forward` without norm, as a plain convolution to `stride` neighbours at once.

        Kernels are twice as long as the stride, so that each output depends on two inputs. Few values of a
        tile leave the cache before they are in their places.
        """
        axis = 2 if self.axis == "frequency" else 3
        stride, size = self.conv.stride[axis - 2], x.shape[axis]
        x, weight = channels_last(lowered(x)), lowered(self.conv.weight)
        weight = rearrange(weight.squeeze(5 - axis), "c o (part s) -> (s o) c part", s=stride)
        weight = weight.flip(2).unsqueeze(5 - axis)
        bias = None if self.conv.bias is None else self.conv.bias.repeat(stride)
        lengths = list(x.shape[2:])
        lengths[axis - 2] = (size + 1) * stride - 2 * self.padding
        if length is not None and axis == 3:
            lengths[1] = min(length, lengths[1] + self.padding)
        output = x.new_empty(x.shape[0], *lengths, self.conv.out_channels).permute(0, 3, 1, 2)
        step = max(1, TILE * size // (stride * output.numel()))
        for first in range(0, size + 1, step):
            last = min(first + step, size + 1)
            start, stop = max(first - 1, 0), min(last, size)
            margins = start - first + 1, last - stop
            part = x.narrow(axis, start, stop - start)
            if any(margins):
                part = F.pad(part, (0, 0, *margins) if axis == 2 else margins)
            grouped = F.conv2d(part, weight, bias)
            self._place(gelu_into(grouped) if self.activation else grouped, output, first, axis)
        return output

    def _place(self, grouped: Tensor, output: Tensor, first: int, axis: int) -> None:
        """Put groups of neighbours in their places, from index `first` on."""
        stride = self.conv.stride[axis - 2]
        for phase, values in enumerate(grouped.chunk(stride, dim=1)):
            place = first * stride + phase - self.padding
            skipped = max(0, -(place // stride))
            begin = place + skipped * stride
            count = min(values.shape[axis] - skipped, -((begin - output.shape[axis]) // stride))
            if count <= 0:
                continue
            values = values.narrow(axis, skipped, count)
            inside = slice(begin, begin + count * stride, stride)
            target = output[:, :, inside] if axis == 2 else output[..., inside]
            target.copy_(values)


class EncoderStage(nn.Module):
    """Down-sampling, norm, GELU, residual branches, and a gated convolution.

    Args:
        down: Down-sampling.
        norm_groups: Groups of the norms; None for none.
        branches: Residual branches; None for none.
        rewrite: Add the gated convolution.
        context: Neighbours on either side that the gated convolution sees, along the axes of `context_axes`.
        context_axes: Frequency and time, or time alone.
    """

    def __init__(
        self,
        down: Downsampling,
        *,
        norm_groups: int | None,
        branches: ResidualBranches | None,
        rewrite: bool = True,
        context: int = 0,
        context_axes: Literal["both", "time"] = "both",
    ) -> None:
        super().__init__()
        channels = down.conv.out_channels
        self.down = down
        self.norm = make_norm(norm_groups, channels)
        self.branches = branches
        self.rewrite = GatedConv(channels, norm_groups, context, context_axes) if rewrite else None

    def forward(self, x: Tensor, injected: Tensor | None = None) -> Tensor:
        """Encode `(batch, inputs, frequency, frames)`.

        Args:
            x: Input.
            injected: Added to the output of the convolution; None for nothing.
        """
        x = self.down(x)
        x = gelu_into(self.norm(x if injected is None else x + injected))
        x = x if self.branches is None else self.branches(x)
        return x if self.rewrite is None else self.rewrite(x)


class GatedConv(nn.Module):
    """Convolution to twice the channels, norm, and gated linear unit.

    Args:
        channels: Channels of input and output.
        norm_groups: Groups of the norm; None for none.
        context: Neighbours on either side.
        context_axes: Axes of the neighbours: both, or time alone.
    """

    def __init__(
        self,
        channels: int,
        norm_groups: int | None,
        context: int,
        context_axes: Literal["both", "time"] = "both",
    ) -> None:
        super().__init__()
        rows = context if context_axes == "both" else 0
        self.conv = nn.Conv2d(
            channels, 2 * channels, (1 + 2 * rows, 1 + 2 * context), padding=(rows, context)
        )
        self.norm = make_norm(norm_groups, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, frames)` to the same shape."""
        if has_onednn(x) and isinstance(self.norm, nn.Identity):
            return self._in_tiles(x)
        if not learns_on_cpu(x):
            return F.glu(self.norm(self.conv(x)), dim=1)
        assert self.conv.bias is not None
        padding = [size // 2 for size in self.conv.kernel_size]
        return gate(self.norm(convolve(channels_last(x), self.conv.weight, self.conv.bias, padding)))

    def _in_tiles(self, x: Tensor) -> Tensor:
        """`forward` without norm, tile by tile of rows or of frames, so that few values leave the cache."""
        axis = 2 if x.shape[2] > 1 else 3
        halo = self.conv.kernel_size[axis - 2] // 2
        x = channels_last(lowered(x))
        size, output = x.shape[axis], torch.empty_like(x)
        step = max(1, TILE * size // x.numel())
        assert self.conv.bias is not None
        weights, biases = lowered(self.conv.weight).chunk(2), self.conv.bias.chunk(2)
        padding = [0 if each == axis else self.conv.kernel_size[each - 2] // 2 for each in (2, 3)]
        for first in range(0, size, step):
            last = min(first + step, size)
            before, after = max(0, halo - first), max(0, last + halo - size)
            part = x.narrow(axis, first - halo + before, last - first + 2 * halo - before - after)
            if before or after:
                part = F.pad(part, (0, 0, before, after) if axis == 2 else (before, after))
            value, gate = (
                convolve(part, weight, bias, padding) for weight, bias in zip(weights, biases, strict=True)
            )
            torch.mul(value, gate.sigmoid_(), out=output.narrow(axis, first, last - first))
        return output


class DecoderStage(nn.Module):
    """Gated convolution, residual branches, and up-sampling.

    Args:
        up: Up-sampling.
        norm_groups: Groups of the norm of the gated convolution; None for none.
        branches: Residual branches; None for none.
        rewrite: Add the gated convolution.
        context: Neighbours on either side that the gated convolution sees.
        context_axes: Axes of the neighbours: both, or time alone.
    """

    def __init__(
        self,
        up: Upsampling,
        *,
        norm_groups: int | None,
        branches: ResidualBranches | None,
        rewrite: bool = True,
        context: int = 1,
        context_axes: Literal["both", "time"] = "both",
    ) -> None:
        super().__init__()
        channels = up.conv.in_channels
        self.rewrite = GatedConv(channels, norm_groups, context, context_axes) if rewrite else None
        self.branches = branches
        self.up = up

    def mix(self, x: Tensor) -> Tensor:
        """Everything before the up-sampling, on `(batch, channels, frequency, frames)`."""
        x = x if self.rewrite is None else self.rewrite(x)
        return x if self.branches is None else self.branches(x)

    def forward(self, x: Tensor, length: int | None = None) -> Tensor:
        """Decode `(batch, channels, frequency, frames)`.

        Args:
            x: Input, with the skip connection.
            length: Frames of the result, if the up-sampling is along time.
        """
        decoded: Tensor = self.up(self.mix(x), length)
        return decoded
