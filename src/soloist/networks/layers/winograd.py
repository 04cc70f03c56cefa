"""Convolutions of three by three with two thirds of the products, by minimal filtering along the frames.

Two neighbouring outputs of a kernel of three taps need four products in place of six, between sums of inputs
and sums of taps.

S. Winograd: Arithmetic complexity of computations. SIAM 1980.
A. Lavin and S. Gray: Fast algorithms for convolutional neural networks. CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from soloist.networks.layers.onednn import add_convolution, has_onednn

_TILE = 2**20
"""Values of the rows that are computed at once: what they need stays in the caches."""

_FEWEST = 2**11
"""Fewest points: below them, the sums of taps cost more than the products that they save."""

_NARROWEST = 64
"""Fewest channels: below them, the sums of inputs and outputs cost more."""


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolution of three by three that keeps the shape, without bias.

    Args:
        x: `(batch, channels, height, width)`.
        weight: `(out_channels, channels, 3, 3)`.
    """
    if not _saves_products(x, weight):
        return F.conv2d(x, weight, padding=1)
    output = x.new_empty(len(x), *x.shape[2:], len(weight)).permute(0, 3, 1, 2)
    for rows, even, odd in _paired_outputs(x, weight):
        output[:, :, rows, 0::2] = even
        output[:, :, rows, 1::2] = odd
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
    for rows, even, odd in _paired_outputs(x, weight):
        total[:, :, rows, 0::2] += even
        total[:, :, rows, 1::2] += odd


def _saves_products(x: Tensor, weight: Tensor) -> bool:
    """Return True if `_paired_outputs` accepts tensors, and is faster than a convolution and as exact."""
    exact = has_onednn(x) and not torch.is_autocast_enabled("cpu")
    fits = x.shape[3] % 2 == 0 and x.is_contiguous(memory_format=torch.channels_last)
    large = x.shape[2] * x.shape[3] >= _FEWEST and min(weight.shape[:2]) >= _NARROWEST
    return exact and fits and large


def _paired_outputs(x: Tensor, weight: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Outputs of `convolve`, some rows after the other.

    Yields:
        The rows, and their outputs `(batch, out_channels, rows, width / 2)` in even and in odd columns.
    """
    taps = _sums_of_taps(weight)
    height, width = x.shape[2:]
    step = max(1, _TILE // (x.shape[0] * width * max(weight.shape[:2])))
    for begin in range(0, height, step):
        end = min(begin + step, height)
        part = F.pad(x[:, :, max(begin - 1, 0) : end + 1], (1, 1, int(begin == 0), int(end == height)))
        a, b, c, d = (part[..., place : place + width - 1 : 2] for place in range(4))
        first, middle = F.conv2d(a - c, taps[0]), F.conv2d(b + c, taps[1])
        other, last = F.conv2d(c - b, taps[2]), F.conv2d(b - d, taps[3])
        even = first.add_(middle).add_(other)
        yield slice(begin, end), even, middle.sub_(other).sub_(last)


def _sums_of_taps(weight: Tensor) -> list[Tensor]:
    """Four kernels `(out_channels, channels, 3, 1)` in place of the three taps of each row."""
    before, at, after = weight.unbind(dim=3)
    outer, middle = (before + after) / 2, at / 2
    sums = before, outer + middle, outer - middle, after
    return [each[..., None].contiguous(memory_format=torch.channels_last) for each in sums]
