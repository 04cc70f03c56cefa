"""Convolutions of three by three with two thirds of the products, by minimal filtering along the frames.

Two neighbouring outputs of a kernel of three taps need four products in place of six, between sums of inputs
and sums of taps.

S. Winograd: Arithmetic complexity of computations. SIAM 1980.
A. Lavin and S. Gray: Fast algorithms for convolutional neural networks. CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from soloist.networks.layers.onednn import add_convolution, has_onednn, learns_on_cpu

_TILE = 2**20
"""Values of the rows that are computed at once: what they need stays in the caches."""

_FEWEST = 2**11
"""Fewest points: below them, the sums of taps cost more than the products that they save."""

_NARROWEST = 64
"""Fewest channels: below them, the sums of inputs and outputs cost more."""

_NARROWEST_WITH_GRADIENTS = 128
"""Fewest channels where there are gradients, whose other products are faster than sums, too."""


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolution of three by three that keeps the shape, without bias.

    Args:
        x: `(batch, channels, height, width)`.
        weight: `(out_channels, channels, 3, 3)`.
    """
    if not _saves_products(x, weight):
        return F.conv2d(x, weight, padding=1)
    result: Tensor = _Convolution.apply(x, weight)
    return result


class _Convolution(torch.autograd.Function):
    """`convolve` with gradients that save as many products."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve."""
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of the input, a convolution with the kernel turned, and of the weight."""
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_input, of_weight = ctx.needs_input_grad
        return (
            _convolve(gradient, weight.flip(2, 3).transpose(0, 1)) if of_input else None,
            _gradient_of_weight(x, gradient, weight) if of_weight else None,
        )


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    output = x.new_empty(len(x), *x.shape[2:], len(weight)).permute(0, 3, 1, 2)
    for rows, (first, middle, other, last) in _products(x, weight):
        torch.add(first.add_(middle), other, out=output[:, :, rows, 0::2])
        torch.sub(middle.sub_(other), last, out=output[:, :, rows, 1::2])
    return output


def add_convolved(total: Tensor, x: Tensor, weight: Tensor) -> None:
    """Add `convolve` to a sum, in place, without gradients; all tensors are stored channels-last.

    Args:
        total: Sum `(batch, out_channels, height, width)`, changed.
        x: `(batch, channels, height, width)`.
        weight: `(out_channels, channels, 3, 3)`.
    """
    if not _saves_products(x, weight):
        add_convolution(total, x, weight, (1, 1))
        return
    for rows, (first, middle, other, last) in _products(x, weight):
        total[:, :, rows, 0::2] += first.add_(middle).add_(other)
        total[:, :, rows, 1::2] += middle.sub_(other).sub_(last)


def _saves_products(x: Tensor, weight: Tensor) -> bool:
    """Return True if `_products` accepts tensors, and is faster than a convolution and as exact."""
    exact = learns_on_cpu(x) or (has_onednn(x) and not torch.is_autocast_enabled("cpu"))
    fits = x.shape[3] % 2 == 0 and x.is_contiguous(memory_format=torch.channels_last)
    narrowest = _NARROWEST_WITH_GRADIENTS if torch.is_grad_enabled() else _NARROWEST
    large = x.shape[2] * x.shape[3] >= _FEWEST and min(weight.shape[:2]) >= narrowest
    return exact and fits and large


def _products(x: Tensor, weight: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
    """Products whose sums are the outputs of `convolve`, some rows after the other.

    Yields:
        The rows, and four products `(batch, out_channels, rows, width / 2)`: the outputs in even columns are
        the sum of the first three, and those in odd columns the second without the others behind it.
    """
    taps = _sums_of_taps(weight)
    for rows, inputs in _sums_of_inputs(x, max(weight.shape[:2])):
        maps = inputs.permute(0, 1, 4, 2, 3)
        yield rows, [F.conv2d(*each) for each in zip(maps, taps, strict=True)]


def _gradient_of_weight(x: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient of the weight of `convolve`, from that of the output."""
    sums = weight.new_zeros(3, 4, *weight.shape[:2])
    # Fewer rows at once: the sums of outputs take their place in the caches, too.
    for rows, inputs in _sums_of_inputs(x, 4 * max(weight.shape[:2])):
        even, odd = gradient[:, :, rows].permute(0, 2, 3, 1).unflatten(2, (-1, 2)).unbind(3)
        # Each of the `_products` is in the outputs with these signs.
        outputs = torch.stack([even, even + odd, even - odd, -odd]).flatten(1, 3)
        for place, total in enumerate(sums):
            total.baddbmm_(outputs.mT, inputs[:, :, place : place + even.shape[1]].flatten(1, 3))
    first, middle, other, last = rearrange(sums, "height sum o c -> sum o c height 1")
    both = (middle + other) / 2
    return torch.cat([first + both, (middle - other) / 2, last + both], dim=3)


def _sums_of_inputs(x: Tensor, channels: int) -> Iterator[tuple[slice, Tensor]]:
    """Inputs of the products, some rows after the other.

    Args:
        x: Input of `convolve`.
        channels: Channels of its input or its output, whatever is more.

    Yields:
        The rows, and four sums `(4, batch, rows + 2, width / 2, channels)`.
    """
    height, width = x.shape[2:]
    step = max(1, _TILE // (x.shape[0] * width * channels))
    for begin in range(0, height, step):
        end = min(begin + step, height)
        part = F.pad(x[:, :, max(begin - 1, 0) : end + 1], (1, 1, int(begin == 0), int(end == height)))
        a, b, c, d = (part.permute(0, 2, 3, 1)[:, :, place : place + width - 1 : 2] for place in range(4))
        sums = x.new_empty(4, *a.shape)
        torch.sub(a, c, out=sums[0])
        torch.add(b, c, out=sums[1])
        torch.sub(c, b, out=sums[2])
        torch.sub(b, d, out=sums[3])
        yield slice(begin, end), sums


def _sums_of_taps(weight: Tensor) -> list[Tensor]:
    """Four kernels `(out_channels, channels, 3, 1)` in place of the three taps of each row."""
    before, at, after = weight.unbind(dim=3)
    outer, middle = (before + after) / 2, at / 2
    sums = before, outer + middle, outer - middle, after
    return [each[..., None].contiguous(memory_format=torch.channels_last) for each in sums]
