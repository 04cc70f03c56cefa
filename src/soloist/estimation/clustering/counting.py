"""How many clusters there are."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.estimation.clustering.base import Clusterer, Fit, Start
from soloist.estimation.clustering.confidence import LEAST_SILHOUETTE, sample_points, silhouette


def fit_some(
    clusterer: Clusterer, points: Tensor, counted: Tensor, most: int, start: Start | None = None
) -> Fit:
    """Find out how many clusters there are, and find these.

    Of all numbers up to `most` it is the one of greatest mean silhouette; one cluster, if none is clear. The
    Bayesian information criterion, which compares likelihoods, finds ever more clusters in ever more points,
    because embeddings are not distributed as any model says.

    Args:
        clusterer: What finds clusters.
        points: `(batch, points, dimensions)`.
        counted: Which of them count, `(batch, points)`.
        most: Clusters there may be.
        start: What is known; known clusters remain, though they may have no points.

    Returns:
        A fit of `most` clusters, of which each item uses some.
    """
    known = torch.zeros(len(points), dtype=torch.long, device=points.device)
    known = known if start is None else start.known.sum(dim=1)
    best = torch.ones_like(known).maximum(known)
    score = torch.full(best.shape, LEAST_SILHOUETTE, device=points.device, dtype=points.dtype)
    sampled, weights = sample_points(points, counted)
    for number in range(1, most + 1):
        limit = torch.full_like(best, number).maximum(known)
        fit = clusterer.fit(points, counted, most, start, limit)
        labels = fit.posteriors(sampled).argmax(dim=2)
        clear = silhouette(sampled, labels, weights, most).nan_to_num(nan=LEAST_SILHOUETTE)
        better = clear > score
        best, score = torch.where(better, limit, best), torch.where(better, clear, score)
    return clusterer.fit(points, counted, most, start, best)
