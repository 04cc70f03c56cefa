"""Weighted points for clustering, and the choice of the loudest points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_EQUAL = 1e-5
"""Distance, relative to the length, below which points are equal in single precision."""


@dataclass(frozen=True)
class Cloud:
    """Weighted points relative to their mean, for precise distances.

    Attributes:
        points: Points minus the mean, `(batch, points, dimensions)`; padding has no weight.
        weights: `(batch, points)`.
        squares: Squared distances from the mean, `(batch, points)`.
        mean: Weighted mean of the points, `(batch, 1, dimensions)`.
        resolution: Squared distance up to which two points count as equal, `(batch,)`.
    """

    points: Tensor
    weights: Tensor
    squares: Tensor
    mean: Tensor
    resolution: Tensor

    @classmethod
    def of(cls, points: Tensor, weights: Tensor) -> Cloud:
        """Make a cloud of points `(batch, points, dimensions)` with non-zero weights `(batch, points)`."""
        points, weights = _compact(points, weights)
        total = weights.sum(dim=1).clamp(min=torch.finfo(weights.dtype).tiny)
        mean = (weights[:, None] @ points) / total[:, None, None]
        around = points - mean
        squares = around.square().sum(dim=-1)
        # Upper bound of the length of the longest point.
        lengths = squares.amax(dim=1).sqrt() + mean[:, 0].norm(dim=1)
        return cls(around, weights, squares, mean, (_EQUAL * lengths).square())

    @property
    def variance(self) -> Tensor:
        """Mean squared distance from the mean, `(batch,)`."""
        total = self.weights.sum(dim=1).clamp(min=torch.finfo(self.weights.dtype).tiny)
        return (self.weights * self.squares).sum(dim=1) / total


def _compact(points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Keep points with a weight; pad shorter items with their first point, without weight."""
    present = weights > 0
    item, place = present.nonzero(as_tuple=True)
    slot = present.cumsum(dim=1)[item, place] - 1
    shape = (len(points), max(1, int(present.sum(dim=1).max())))
    places = present.to(torch.uint8).argmax(dim=1, keepdim=True).expand(shape).contiguous()
    kept = weights.new_zeros(shape)
    places[item, slot], kept[item, slot] = place, weights[item, place]
    return points[torch.arange(len(points), device=points.device)[:, None], places], kept


def loudest(magnitudes: Tensor, percentile: float) -> Tensor:
    """Select the points of each item at or above a percentile of magnitude, without silent points.

    The percentile is that of NumPy, with linear interpolation between the points.

    Args:
        magnitudes: `(batch, points)`, not negative.
        percentile: In [0, 100].

    Returns:
        Boolean `(batch, points)`.
    """
    # A point reaches an interpolated value if and only if it reaches the next larger point.
    above = math.ceil((magnitudes.shape[1] - 1) * (percentile / 100) - 1e-9)
    cutoff = magnitudes.kthvalue(above + 1, dim=1, keepdim=True).values
    return (magnitudes >= cutoff) & (magnitudes > 0)
