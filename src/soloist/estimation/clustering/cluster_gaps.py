"""Gaps between clusters: the number of clusters, and the memory of clusters between parts of a recording."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.estimation.clustering.cluster_confidence import sample_points
from soloist.estimation.clustering.clusterer import Clusterer, Fit, Start

WIDTH = 0.15
"""Half the width of the counting intervals, relative to the distance of two centres."""

LEAST_GAP = 0.5
"""Least gap between different clusters; see `measure_gaps`."""

HOLD = 0.5
"""Weight of the clusters' points in the next part of a recording: new points outweigh remembered ones."""


@torch.no_grad()
def measure_gaps(fit: Fit, points: Tensor, counted: Tensor) -> Tensor:
    """Measure the depth of the gaps between clusters: the lack of points midway between two centres.

    Points are projected onto the line between the centres, so that noise in many dimensions does not hide a
    gap. A uniform or a normal distribution cut in two has no gap.

    Args:
        fit: Clusters.
        points: Clustered points, `(batch, points, dimensions)`.
        counted: True for points that count, `(batch, points)`.

    Returns:
        `(batch, clusters, clusters)`: 1 without points midway between two centres, 0 with at least as many as
        at the centre with fewer points. The gap to a cluster without points is 1.
    """
    points, weights = sample_points(points, counted)
    labels = fit.posteriors(points).argmax(dim=2)
    members = torch.nn.functional.one_hot(labels, fit.used.shape[1]).to(points.dtype) * weights[..., None]
    both = members[:, :, :, None] + members[:, :, None, :]
    apart = fit.centres[:, None] - fit.centres[:, :, None]
    squares = apart.square().sum(dim=-1).clamp(min=torch.finfo(points.dtype).tiny)
    offsets = (fit.centres[:, :, None] * apart).sum(dim=-1)
    along = (torch.einsum("b n d, b i j d -> b n i j", points, apart) - offsets[:, None]) / squares[:, None]
    here, midway, there = (((along - place).abs() < WIDTH).mul(both).sum(dim=1) for place in (0.0, 0.5, 1.0))
    least = torch.minimum(here, there)
    gaps = (1 - midway / least.clamp(min=1)).clamp(min=0) * (least > 0)
    empty = members.sum(dim=1) == 0
    return torch.where(empty[:, :, None] | empty[:, None, :], 1.0, gaps)


def fit_some(
    clusterer: Clusterer, points: Tensor, counted: Tensor, most: int, start: Start | None = None
) -> Fit:
    """Find an unknown number of clusters.

    The number is the largest one up to `most` with a gap between each two clusters. Two alternatives fail:
    the Bayesian information criterion finds more clusters in more points, because embeddings follow no model
    distribution; a silhouette cannot tell one cluster from two.

    Args:
        clusterer: Clusterer for a given number of clusters.
        points: `(batch, points, dimensions)`.
        counted: True for points that count, `(batch, points)`.
        most: Largest number of clusters.
        start: Known clusters, which remain even without points.

    Returns:
        A fit of `most` clusters, some of which are used in each item.
    """
    known = torch.zeros(len(points), most, dtype=torch.bool, device=points.device)
    known = known if start is None else start.known
    best = known.sum(dim=1).clamp(min=1)
    for number in range(2, most + 1):
        limit = torch.full_like(best, number)
        fit = clusterer.fit(points, counted, most, start, limit)
        gaps = measure_gaps(fit, points, counted) + torch.eye(most, device=points.device)
        # Known clusters need no gap between each other.
        new = (fit.used & ~known)[:, None] & fit.used[:, :, None]
        clear = ((gaps >= LEAST_GAP) | ~new).all(dim=(1, 2)) & (fit.used.sum(dim=1) == number)
        best = torch.where(clear & (limit > best), limit, best)
    return clusterer.fit(points, counted, most, start, best)


class ClusterMemory:
    """Clusters of a recording, remembered from part to part.

    The cluster of a silent source keeps its place, because no points outweigh the memory. Clusters without a
    gap have little weight: they are parts of one source that plays alone.
    """

    def __init__(self) -> None:
        self.start: Start | None = None

    @torch.no_grad()
    def remember(self, fit: Fit, points: Tensor, counted: Tensor) -> None:
        """Update the memory with the clusters of the next part.

        Args:
            fit: Clusters of the part, found with `start`.
            points: Clustered points, `(batch, points, dimensions)`.
            counted: True for points that count, `(batch, points)`.
        """
        others = fit.used[:, None] & ~torch.eye(fit.used.shape[1], dtype=torch.bool, device=points.device)
        clear = measure_gaps(fit, points, counted).masked_fill(~others, 1.0).amin(dim=2)
        mass = HOLD * clear * fit.mass * fit.used
        if self.start is None:
            self.start = Start(fit.centres, mass, fit.used)
        else:
            self.start = Start(fit.centres, mass.maximum(self.start.mass), fit.used | self.start.known)
