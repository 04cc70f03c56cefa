"""How clear clusters are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.estimation.clustering.clusterer import Fit

SAMPLE = 1000
"""Points that silhouettes are measured on."""


@dataclass(frozen=True)
class Confidence:
    """How far a separation by clusters can be trusted, or those of a batch.

    Attributes:
        silhouette: Mean silhouette of the points: 1 where clusters are small and far apart, 0 where they
            touch. NaN where there are not two clusters.
        posterior: Mean difference of a point's largest posterior from its next one: 1 where each point
            clearly belongs to a cluster, 0 where any could be its own. NaN where there are no points.
    """

    silhouette: Tensor
    posterior: Tensor


@torch.no_grad()
def measure_confidence(fit: Fit, points: Tensor, counted: Tensor) -> Confidence:
    """How clear the clusters of points `(batch, points, dimensions)` are.

    Args:
        fit: The clusters.
        points: What they were found in.
        counted: Which of the points count, `(batch, points)`.

    Returns:
        Figures `(batch,)`.
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
    """At most so many of the points that count, spread evenly over them, and which of these there are."""
    present = counted > 0
    rank = present.cumsum(dim=1)
    total = rank[:, -1:]
    wanted = torch.arange(most, device=points.device) * total.clamp(min=most) // most
    place = torch.searchsorted(rank, wanted + 1).clamp(max=points.shape[1] - 1)
    sampled = torch.take_along_dim(points, place[..., None], dim=1)
    return sampled.detach(), (wanted < total).to(points.dtype)


def silhouette(points: Tensor, labels: Tensor, weights: Tensor, clusters: int) -> Tensor:
    """Mean silhouette: how much nearer points are to those of their cluster than to those of the next one.

    P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis",
    Journal of Computational and Applied Mathematics 20, 1987.

    Args:
        points: `(batch, points, dimensions)`.
        labels: The cluster of each point, `(batch, points)`.
        weights: One for points that count, zero for others, `(batch, points)`.
        clusters: How many labels there are.

    Returns:
        `(batch,)`, in [-1, 1]; NaN where all points are in one cluster.
    """
    distances = torch.cdist(points, points)
    members = torch.nn.functional.one_hot(labels, clusters).to(points.dtype) * weights[..., None]
    sizes = members.sum(dim=1, keepdim=True)
    sums = distances @ members
    own = members > 0
    # A point is no neighbour of its own.
    inside = (sums * members).sum(dim=2) / ((sizes * members).sum(dim=2) - 1).clamp(min=1)
    means = (sums / sizes.clamp(min=1)).masked_fill(own | (sizes == 0), torch.inf)
    outside = means.amin(dim=2)
    values = (outside - inside) / torch.maximum(outside, inside).clamp(min=torch.finfo(points.dtype).tiny)
    alone = (sizes * members).sum(dim=2) <= 1
    values = values.masked_fill(alone, 0.0) * weights
    mean = values.nan_to_num().sum(dim=1) / weights.sum(dim=1)
    return mean.masked_fill((sizes[:, 0] > 0).sum(dim=1) < 2, torch.nan)
