"""Blocks of coefficients rearranged, so that a graph has few steps, and as many for every length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

_WASTE = 1.25
"""By how much the widest block of a run may exceed the narrowest."""


def fold_windows(block: Tensor, axis: int, window: int | None) -> Tensor:
    """Make items of the batch of the windows of a time axis; the last window ends with zeros.

    Args:
        block: `(batch, ...)`.
        axis: The axis.
        window: Its points in a window; None for all.

    Returns:
        `(batch * windows, ...)`, of `window` points.
    """
    if window is None:
        return block
    x = block.movedim(axis, -1)
    x = pad(x, (0, -x.shape[-1] % window)).unflatten(-1, (-1, window))
    return x.movedim(-2, 1).flatten(0, 1).movedim(-1, axis)


def unfold_windows(block: Tensor, axis: int, batch: int, length: int) -> Tensor:
    """Undo `fold_windows` for so many items and points of the axis."""
    x = block.movedim(axis, -1).unflatten(0, (batch, -1)).movedim(1, -2).flatten(-2)
    return x[..., :length].movedim(-1, axis)


def similar_widths(blocks: Sequence[Tensor]) -> Iterator[slice]:
    """Runs of blocks whose last axes are of nearly the same size."""
    # One block alone may be a spectrogram, whose last axis is of any size.
    widths = [int(block.shape[-1]) for block in blocks] if len(blocks) > 1 else [1]
    first = 0
    for stop in range(1, len(widths) + 1):
        if stop == len(widths) or max(widths[first : stop + 1]) > _WASTE * min(widths[first : stop + 1]):
            yield slice(first, stop)
            first = stop


def join_blocks(blocks: Sequence[Tensor], axis: int) -> Tensor:
    """One block of several, side by side along an axis, the narrow ones with zeros at their ends."""
    if len(blocks) == 1:
        return blocks[0]
    widest = max(int(block.shape[-1]) for block in blocks)
    return torch.cat([pad(block, (0, widest - int(block.shape[-1]))) for block in blocks], dim=axis)


def split_blocks(joined: Tensor, like: Sequence[Tensor], axis: int) -> list[Tensor]:
    """Undo `join_blocks`.

    Args:
        joined: What has been made of the joined blocks.
        like: Blocks `(batch, channels, frequency, ...)` of the bins and widths that there were.
        axis: The axis of the bins.
    """
    if len(like) == 1:
        return [joined]
    parts = joined.split([int(block.shape[2]) for block in like], dim=axis)
    return [part[..., : int(block.shape[-1])] for part, block in zip(parts, like, strict=True)]
