"""The points that a clustering looks at, and which of a spectrogram's these are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_EQUAL = 1e-5
"""Points closer to each other than this part of their length are the same point in single precision."""


@dataclass(frozen=True)
class Cloud:
    """Weighted points around their mean, so that distances between them keep their precision.

    Attributes:
        points: `(batch, points, dimensions)`; those beyond an item's last one have no weight.
        weights: `(batch, points)`.
        squares: Squared distances from the mean, `(batch, points)`.
        mean: What has been subtracted, `(batch, 1, dimensions)`.
        resolution: Squared distance up to which two points count as equal, `(batch,)`.
    """

    points: Tensor
    weights: Tensor
    squares: Tensor
    mean: Tensor
    resolution: Tensor

    @classmethod
    def of(cls, points: Tensor, weights: Tensor) -> Cloud:
        """The points `(batch, points, dimensions)` whose weight, `(batch, points)`, is not zero."""
        points, weights = _compact(points, weights)
        total = weights.sum(dim=1).clamp(min=torch.finfo(weights.dtype).tiny)
        mean = (weights[:, None] @ points) / total[:, None, None]
        around = points - mean
        squares = around.square().sum(dim=-1)
        # The longest of them is at most so long.
        lengths = squares.amax(dim=1).sqrt() + mean[:, 0].norm(dim=1)
        return cls(around, weights, squares, mean, (_EQUAL * lengths).square())

    @property
    def variance(self) -> Tensor:
        """Mean squared distance from the mean, `(batch,)`."""
        total = self.weights.sum(dim=1).clamp(min=torch.finfo(self.weights.dtype).tiny)
        return (self.weights * self.squares).sum(dim=1) / total


def _compact(points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Only what has a weight; where another item has more, the first point again, without weight."""
    present = weights > 0
    item, place = present.nonzero(as_tuple=True)
    slot = present.cumsum(dim=1)[item, place] - 1
    shape = (len(points), max(1, int(present.sum(dim=1).max())))
    places = present.to(torch.uint8).argmax(dim=1, keepdim=True).expand(shape).contiguous()
    kept = weights.new_zeros(shape)
    places[item, slot], kept[item, slot] = place, weights[item, place]
    return points[torch.arange(len(points), device=points.device)[:, None], places], kept


def loudest(magnitudes: Tensor, percentile: float) -> Tensor:
    """Which points of each item are at least as loud as a percentile of all; silent ones never are.

    The percentile is that of NumPy, with linear interpolation between the points.

    Args:
        magnitudes: `(batch, points)`, not negative.
        percentile: In [0, 100].

    Returns:
        Boolean `(batch, points)`.
    """
    # A point reaches an interpolated value exactly if it reaches the next one above.
    above = math.ceil((magnitudes.shape[1] - 1) * (percentile / 100) - 1e-9)
    cutoff = magnitudes.kthvalue(above + 1, dim=1, keepdim=True).values
    return (magnitudes >= cutoff) & (magnitudes > 0)
