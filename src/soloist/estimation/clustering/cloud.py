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
        mean: What has been subtracted, `(batch, 1, dimensions)`.
        resolution: Squared distance up to which two points count as equal, `(batch,)`.
    """

    points: Tensor
    weights: Tensor
    mean: Tensor
    resolution: Tensor

    @classmethod
    def of(cls, points: Tensor, weights: Tensor) -> Cloud:
        """The points `(batch, points, dimensions)` whose weight, `(batch, points)`, is not zero."""
        points, weights = _compact(points, weights)
        total = weights.sum(dim=1).clamp(min=torch.finfo(weights.dtype).tiny)
        mean = (weights[:, None] @ points) / total[:, None, None]
        sizes = points.square().sum(dim=-1).masked_fill(weights == 0, 0.0)
        around = (points - mean).masked_fill(weights[..., None] == 0, 0.0)
        return cls(around, weights, mean, _EQUAL**2 * sizes.amax(dim=1))

    @property
    def variance(self) -> Tensor:
        """Mean squared distance from the mean, `(batch,)`."""
        total = self.weights.sum(dim=1).clamp(min=torch.finfo(self.weights.dtype).tiny)
        return (self.weights * self.points.square().sum(dim=-1)).sum(dim=1) / total


def _compact(points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Only what has a weight, and zeros behind it where another item of the batch has more."""
    present = weights > 0
    item, place = present.nonzero(as_tuple=True)
    slot = present.cumsum(dim=1)[item, place] - 1
    most = max(1, int(present.sum(dim=1).max()))
    kept = points.new_zeros(points.shape[0], most, points.shape[2])
    kept_weights = weights.new_zeros(points.shape[0], most)
    kept[item, slot] = points[item, place]
    kept_weights[item, slot] = weights[item, place]
    return kept, kept_weights


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
