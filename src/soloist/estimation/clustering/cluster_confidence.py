"""Confidence in clusters: silhouettes and posteriors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.estimation.clustering.clusterer import Fit

SAMPLE = 1000
"""Largest number of points for silhouettes and gaps."""


@dataclass(frozen=True)
class Confidence:
    """Confidence in a separation by clustering, or in a batch of separations.

    Attributes:
        silhouette: Mean silhouette of the points: 1 for small clusters far apart, 0 for touching clusters.
            NaN with fewer than two clusters.
        posterior: Mean difference of the two largest posteriors of a point: 1 for certain assignments, 0 for
            ambiguous ones. NaN without points.
    """

    silhouette: Tensor
    posterior: Tensor


@torch.no_grad()
def measure_confidence(fit: Fit, points: Tensor, counted: Tensor) -> Confidence:
    """Measure the confidence in clusters.

    Args:
        fit: Clusters.
        points: Clustered points, `(batch, points, dimensions)`.
        counted: True for points that count, `(batch, points)`.

    Returns:
        Silhouette and posterior, each `(batch,)`.
    """
    points, weights = sample_points(points, counted)
    posteriors = fit.posteriors(points)
    margin = _margin(posteriors) * weights
    total = weights.sum(dim=1)
    labels = posteriors.argmax(dim=2)
    return Confidence(silhouette(points, labels, weights, fit.used.shape[1]), margin.sum(dim=1) / total)


def _margin(posteriors: Tensor) -> Tensor:
    if posteriors.shape[2] == 1:
        return posteriors[..., 0]
    first, second = posteriors.topk(2, dim=2).values.unbind(dim=2)
    return first - second


def sample_points(points: Tensor, counted: Tensor, most: int = SAMPLE) -> tuple[Tensor, Tensor]:
    """Sample at most `most` of the points that count, evenly spaced.

    Returns:
        Points `(batch, most, dimensions)`, and weights `(batch, most)`: 1 for points, 0 for padding.
    """
    present = counted > 0
    rank = present.cumsum(dim=1)
    total = rank[:, -1:]
    wanted = torch.arange(most, device=points.device) * total.clamp(min=most) // most
    place = torch.searchsorted(rank, wanted + 1).clamp(max=points.shape[1] - 1)
    sampled = torch.take_along_dim(points, place[..., None], dim=1)
    return sampled.detach(), (wanted < total).to(points.dtype)


def silhouette(points: Tensor, labels: Tensor, weights: Tensor, clusters: int) -> Tensor:
    """Mean silhouette: distances of points within their cluster, compared with distances to the next cluster.

    P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis",
    Journal of Computational and Applied Mathematics 20, 1987.

    Args:
        points: `(batch, points, dimensions)`.
        labels: Cluster of each point, `(batch, points)`.
        weights: 1 for points that count, 0 for others, `(batch, points)`.
        clusters: Number of labels.

    Returns:
        `(batch,)`, in [-1, 1]; NaN if all points are in one cluster.
    """
    distances = torch.cdist(points, points)
    members = torch.nn.functional.one_hot(labels, clusters).to(points.dtype) * weights[..., None]
    sizes = members.sum(dim=1, keepdim=True)
    sums = distances @ members
    own = members > 0
    # The distance of a point to itself does not count.
    inside = (sums * members).sum(dim=2) / ((sizes * members).sum(dim=2) - 1).clamp(min=1)
    means = (sums / sizes.clamp(min=1)).masked_fill(own | (sizes == 0), torch.inf)
    outside = means.amin(dim=2)
    values = (outside - inside) / torch.maximum(outside, inside).clamp(min=torch.finfo(points.dtype).tiny)
    alone = (sizes * members).sum(dim=2) <= 1
    values = values.masked_fill(alone, 0.0) * weights
    mean = values.nan_to_num().sum(dim=1) / weights.sum(dim=1)
    return mean.masked_fill((sizes[:, 0] > 0).sum(dim=1) < 2, torch.nan)
