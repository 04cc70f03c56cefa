"""How many clusters there are."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.estimation.clustering.cluster_gaps import measure_gaps
from soloist.estimation.clustering.clusterer import Clusterer, Fit, Start

LEAST_GAP = 0.5
"""Gap that clusters must have between them, lest they are parts of one; see `measure_gaps`."""


def fit_some(
    clusterer: Clusterer, points: Tensor, counted: Tensor, most: int, start: Start | None = None
) -> Fit:
    """Find out how many clusters there are, and find these.

    It is the greatest number up to `most` of clusters with a gap between each and every other. The Bayesian
    information criterion, which compares likelihoods, finds ever more clusters in ever more points, because
    embeddings are not distributed as any model says; a silhouette cannot tell one cluster from two.

    Args:
        clusterer: What finds clusters.
        points: `(batch, points, dimensions)`.
        counted: Which of them count, `(batch, points)`.
        most: Clusters there may be.
        start: What is known; known clusters remain, though they may have no points.

    Returns:
        A fit of `most` clusters, of which each item uses some.
    """
    known = torch.zeros(len(points), most, dtype=torch.bool, device=points.device)
    known = known if start is None else start.known
    best = known.sum(dim=1).clamp(min=1)
    for number in range(2, most + 1):
        limit = torch.full_like(best, number)
        fit = clusterer.fit(points, counted, most, start, limit)
        gaps = measure_gaps(fit, points, counted) + torch.eye(most, device=points.device)
        # Known clusters are known to be such.
        new = (fit.used & ~known)[:, None] & fit.used[:, :, None]
        clear = ((gaps >= LEAST_GAP) | ~new).all(dim=(1, 2)) & (fit.used.sum(dim=1) == number)
        best = torch.where(clear & (limit > best), limit, best)
    return clusterer.fit(points, counted, most, start, best)
