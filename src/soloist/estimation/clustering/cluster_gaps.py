"""Whether there is a gap between clusters, or whether they are parts of one."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.estimation.clustering.cluster_confidence import sample_points
from soloist.estimation.clustering.clusterer import Clusterer, Fit, Start

WIDTH = 0.15
"""Half the width of the places where points are counted, as a part of the distance of two centres."""

LEAST_GAP = 0.5
"""Gap that clusters must have between them, lest they are parts of one; see `measure_gaps`."""

HOLD = 0.5
"""Part of its points that a centre counts as much as in the next part: what is heard outweighs what was."""


@torch.no_grad()
def measure_gaps(fit: Fit, points: Tensor, counted: Tensor) -> Tensor:
    """How deep the gaps between clusters are: how far fewer points lie midway between centres than at these.

    Points are looked at along the line from one centre to the other, so that noise in many dimensions does
    not hide a gap. An even or a normal distribution that is cut in two has none.

    Args:
        fit: The clusters.
        points: What they were found in, `(batch, points, dimensions)`.
        counted: Which of the points count, `(batch, points)`.

    Returns:
        `(batch, clusters, clusters)`: 1 where no point is midway between two centres, 0 where there are as
        many as at the centre that has fewer, or more. From a cluster without points the gap is 1.
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


class ClusterMemory:
    """Clusters of a recording, as they are known from its parts up to now.

    A source that is silent keeps its place, because nothing outweighs what is remembered of it. Clusters
    without a gap between them are hardly held on to: where one source speaks alone they are parts of it.
    """

    def __init__(self) -> None:
        self.start: Start | None = None

    @torch.no_grad()
    def remember(self, fit: Fit, points: Tensor, counted: Tensor) -> None:
        """Take in what was found in the next part.

        Args:
            fit: Its clusters, found from `start` on.
            points: What they were found in, `(batch, points, dimensions)`.
            counted: Which of the points count, `(batch, points)`.
        """
        others = fit.used[:, None] & ~torch.eye(fit.used.shape[1], dtype=torch.bool, device=points.device)
        clear = measure_gaps(fit, points, counted).masked_fill(~others, 1.0).amin(dim=2)
        mass = HOLD * clear * fit.mass * fit.used
        if self.start is None:
            self.start = Start(fit.centres, mass, fit.used)
        else:
            self.start = Start(fit.centres, mass.maximum(self.start.mass), fit.used | self.start.known)
