"""Rearrangement of coefficient blocks, for graphs with few steps, independent of the length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

_WASTE = 1.25
"""Largest ratio of the widest to the narrowest block of a run."""


def fold_windows(block: Tensor, axis: int, window: int | None) -> Tensor:
    """Cut a time axis into windows, as items of the batch; the last window is padded with zeros.

    Args:
        block: `(batch, ...)`.
        axis: Time axis.
        window: Points of a window. If None, return the block.

    Returns:
        `(batch * windows, ...)`, with `window` points on the axis.
    """
    if window is None:
        return block
    x = block.movedim(axis, -1)
    x = pad(x, (0, -x.shape[-1] % window)).unflatten(-1, (-1, window))
    return x.movedim(-2, 1).flatten(0, 1).movedim(-1, axis)


def unfold_windows(block: Tensor, axis: int, batch: int, length: int) -> Tensor:
    """Undo `fold_windows`, for `batch` items and `length` points of the axis."""
    x = block.movedim(axis, -1).unflatten(0, (batch, -1)).movedim(1, -2).flatten(-2)
    return x[..., :length].movedim(-1, axis)


def similar_widths(blocks: Sequence[Tensor]) -> Iterator[slice]:
    """Yield runs of blocks with last axes of nearly the same size."""
    # A single block may be a spectrogram, with a last axis of any size.
    widths = [int(block.shape[-1]) for block in blocks] if len(blocks) > 1 else [1]
    first = 0
    for stop in range(1, len(widths) + 1):
        if stop == len(widths) or max(widths[first : stop + 1]) > _WASTE * min(widths[first : stop + 1]):
            yield slice(first, stop)
            first = stop


def join_blocks(blocks: Sequence[Tensor], axis: int) -> Tensor:
    """Concatenate blocks along an axis, with zeros at the ends of narrow blocks."""
    if len(blocks) == 1:
        return blocks[0]
    widest = max(int(block.shape[-1]) for block in blocks)
    return torch.cat([pad(block, (0, widest - int(block.shape[-1]))) for block in blocks], dim=axis)


def split_blocks(joined: Tensor, like: Sequence[Tensor], axis: int) -> list[Tensor]:
    """Undo `join_blocks`.

    Args:
        joined: Joined blocks.
        like: Blocks `(batch, channels, frequency, ...)` with the original bins and widths.
        axis: Axis of the bins in `joined`.
    """
    if len(like) == 1:
        return [joined]
    parts = joined.split([int(block.shape[2]) for block in like], dim=axis)
    return [part[..., : int(block.shape[-1])] for part, block in zip(parts, like, strict=True)]
