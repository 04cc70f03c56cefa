"""Both ends of a residual branch of Demucs, on rows of frames, with gradients of their own.

As layers of PyTorch, a branch keeps six times its input for the gradients and moves it through memory again
and again, for few products. Here the last norm becomes part of each row's weights: mean and variance of the
gated convolution's output follow from the means and covariances of its few inputs. The gradients compute that
output again, tile by tile in the cache, and find the norm's share of them from the same few inputs.

Rows are `(rows, frames, channels)`, and the few hidden features `(rows, hidden, frames)`: in this layout no
product has a short last axis, which would take three times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

TILE = 2**20
"""Values of a tile of rows, which stays in the cache from layer to layer."""

_GRADIENT_TILE = 2**18
"""The same where several tensors of that size are needed at once."""


def convolve_rows(rows: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Dilated convolution of three taps along frames, with as many zeros on either side.

    Args:
        rows: `(rows, frames, channels)`.
        weight: `(hidden, channels, 3)`.
        bias: `(hidden,)`.
        dilation: Distance of the taps, frames.

    Returns:
        `(rows, hidden, frames)`.
    """
    hidden: Tensor = _RowConvolution.apply(rows, weight, bias, dilation)
    return hidden


class _RowConvolution(torch.autograd.Function):
    """Convolution as one matrix product for all taps, whose results are shifted against each other."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.dilation = dilation
        before, hidden, after = torch.bmm(_taps(weight, rows), rows.mT).split(len(weight), dim=1)
        hidden = hidden + bias[:, None]
        if dilation < rows.shape[1]:
            hidden[..., dilation:] += before[..., :-dilation]
            hidden[..., :-dilation] += after[..., dilation:]
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, weight = ctx.saved_tensors
        dilation, size = ctx.dilation, len(weight)
        of_taps = F.pad(gradient, (0, 0, size, size))
        if dilation < rows.shape[1]:
            of_taps[:, :size, :-dilation] = gradient[..., dilation:]
            of_taps[:, 2 * size :, dilation:] = gradient[..., :-dilation]
        of_weight = torch.bmm(of_taps, rows).sum(dim=0)
        of_rows = torch.bmm(of_taps.mT, _taps(weight, rows))
        return of_rows, rearrange(of_weight, "(k h) c -> h c k", k=3), gradient.sum(dim=(0, 2)), None


def _taps(weight: Tensor, rows: Tensor) -> Tensor:
    """Weights of all taps, `(rows, 3 * hidden, channels)`."""
    return rearrange(weight, "h c k -> (k h) c").expand(len(rows), -1, -1)


class BranchGates(NamedTuple):
    """Convolution over one frame to values and gates, norm over a row, and a scale of the values.

    Attributes:
        weight: Of the convolution, `(2 * channels, hidden)`.
        bias: Of the convolution.
        gain: Of the norm.
        shift: Of the norm.
        scale: Of the values, `(channels,)`.
        eps: Of the norm.
    """

    weight: Tensor
    bias: Tensor
    gain: Tensor
    shift: Tensor
    scale: Tensor
    eps: float

    def add(self, rows: Tensor, hidden: Tensor) -> Tensor:
        """Sum of `(rows, frames, channels)` and what the gates make of `(rows, hidden, frames)`."""
        total: Tensor = _GatedSum.apply(rows, hidden, *self)
        return total

    def add_in_place(self, rows: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """`add` without gradients; the rows are overwritten.

        Returns:
            From `statistics`.
        """
        level, inverse = self.statistics(hidden)
        weights, inputs = self.fold(level, inverse), _with_one(hidden)
        for some, frames in _tiles(rows, TILE):
            values, gates = (torch.bmm(inputs[some, :, frames].mT, weight[some]) for weight in weights)
            rows[some, frames].addcmul_(values, gates.sigmoid_())
        return level, inverse

    def statistics(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and inverse deviation `(rows, 1)` of the convolution of `(rows, hidden, frames)`."""
        mean = hidden.mean(dim=2, keepdim=True)
        centred = hidden - mean
        covariance = centred @ centred.mT / hidden.shape[2]
        means = F.linear(mean[..., 0], self.weight, self.bias)
        level = means.mean(dim=1, keepdim=True)
        within = (covariance * (self.weight.t() @ self.weight)).sum(dim=(1, 2)) / len(self.weight)
        variance = within[:, None] + (means - level).square().mean(dim=1, keepdim=True)
        return level, torch.rsqrt(variance + self.eps)

    def fold(self, level: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of values and of gates for each row, both `(rows, hidden + 1, channels)`.

        The last input is one.
        """
        gain = self.gain * self.scales * inverse
        shift = (self.bias - level) * gain + self.shift * self.scales
        weights = torch.cat([gain[:, None] * self.weight.t(), shift[:, None]], dim=1)
        values, gates = (part.contiguous() for part in weights.chunk(2, dim=2))
        return values, gates

    @property
    def scales(self) -> Tensor:
        """Scales of values and gates, `(2 * channels,)`."""
        return torch.cat([self.scale, torch.ones_like(self.scale)])


class _GatedSum(torch.autograd.Function):
    """`BranchGates.add`, which keeps nothing but the hidden features."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, hidden: Tensor, *parts: Any) -> Tensor:
        total, gates = rows.clone(memory_format=torch.contiguous_format), BranchGates(*parts)
        ctx.eps = gates.eps
        ctx.save_for_backward(hidden, *gates.add_in_place(total, hidden), *gates[:-1])
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, level, inverse, *parts = ctx.saved_tensors
        gates = BranchGates(*[*parts, ctx.eps])
        inputs = _with_one(hidden)
        of_hidden, products = _through_gates(inputs, gates.fold(level, inverse), gradient.contiguous())
        of_weights, back = _through_norm(gates, inputs, products, level, inverse)
        return gradient, of_hidden.baddbmm_(back, inputs), *of_weights, None


def _with_one(hidden: Tensor) -> Tensor:
    """Append a feature that is one to `(rows, hidden, frames)`."""
    return F.pad(hidden, (0, 0, 0, 1), value=1.0)


def _through_gates(inputs: Tensor, weights: tuple[Tensor, Tensor], gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients for fixed statistics of the norm.

    Args:
        inputs: `(rows, hidden + 1, frames)`.
        weights: From `BranchGates.fold`.
        gradient: Of the output, `(rows, frames, channels)`.

    Returns:
        Gradient `(rows, hidden, frames)`, and products over frames of the inputs with the gradients of the
        norm's scaled output, `(rows, hidden + 1, 2 * channels)`.
    """
    rows, size = len(inputs), gradient.shape[2]
    products = inputs.new_zeros(rows, inputs.shape[1], 2 * size)
    of_hidden = inputs.new_empty(rows, inputs.shape[1] - 1, inputs.shape[2])
    for some, frames in _tiles(gradient, _GRADIENT_TILE):
        outer, hidden = gradient[some, frames], inputs[some, :, frames]
        values, gates = (torch.bmm(hidden.mT, weight[some]) for weight in weights)
        of_values = outer * gates.sigmoid_()
        of_gates = values.mul_(of_values).addcmul_(values, gates, value=-1)
        products[some] += torch.cat([torch.bmm(hidden, each) for each in (of_values, of_gates)], dim=2)
        parts = zip(weights, (of_values, of_gates), strict=True)
        of_hidden[some, :, frames] = sum(torch.bmm(weight[some, :-1], each.mT) for weight, each in parts)
    return of_hidden, products


def _through_norm(
    gates: BranchGates, inputs: Tensor, products: Tensor, level: Tensor, inverse: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Gradients of the weights, and what the statistics of the norm add to that of the hidden features.

    Args:
        gates: The weights.
        inputs: `(rows, hidden + 1, frames)`.
        products: From `_through_gates`.
        level: From `BranchGates.statistics`.
        inverse: From `BranchGates.statistics`.

    Returns:
        Gradients of the weights in the order of `BranchGates`, and a matrix `(rows, hidden, hidden + 1)`
        whose product with the inputs is to be added.
    """
    # With the level taken away, the convolution is one product with the inputs.
    weight = torch.cat([gates.weight.t().expand(len(level), -1, -1), (gates.bias - level)[:, None]], dim=1)
    sums = products[:, -1]
    along = (weight * products).sum(dim=1) * inverse
    of_scales = (gates.gain * along + gates.shift * sums).sum(dim=0)[: len(gates.scale)]
    of_gain, of_shift = ((gates.scales * values).sum(dim=0) for values in (along, sums))
    gain = gates.gain * gates.scales * inverse
    count = len(gates.weight) * inputs.shape[2]
    mean, share = ((gain * values).sum(dim=1)[:, None, None] / count for values in (sums, along))
    share = share * inverse[..., None]
    power = inputs @ inputs.mT
    of_weight = (gain[:, None] * products - mean * power[..., -1:] - share * (power @ weight)).sum(dim=0)
    back = -share * (gates.weight.t() @ weight.mT)
    back[..., -1] -= mean[..., 0] * gates.weight.sum(dim=0)
    return [of_weight[:-1].t(), of_weight[-1], of_gain, of_shift, of_scales], back


def _tiles(rows: Tensor, values: int) -> Iterator[tuple[slice, slice]]:
    """Rows and frames of tiles with at most so many values: several rows, or a part of one."""
    count, frames, channels = rows.shape
    length = max(1, min(frames, values // channels))
    many = max(1, values // (frames * channels))
    for first in range(0, count, many):
        for begin in range(0, frames, length):
            yield slice(first, first + many), slice(begin, begin + length)
