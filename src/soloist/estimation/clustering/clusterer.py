"""Contracts of clustering: the clusterer and its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation.clustering.cloud import Cloud
from soloist.estimation.clustering.partition_search import Partition, Search, Start


@dataclass(frozen=True)
class Fit(ABC):
    """Clusters in a cloud of points.

    Attributes:
        centres: `(batch, clusters, dimensions)`.
        used: True for clusters that exist, `(batch, clusters)`. There are fewer than requested if there are
            fewer different points.
        mass: Weight of the points nearest to each centre, `(batch, clusters)`.
    """

    centres: Tensor
    used: Tensor
    mass: Tensor

    def posteriors(self, points: Tensor) -> Tensor:
        """Posterior probabilities of the clusters for each point.

        Args:
            points: Any points `(batch, points, dimensions)`, fitted or not.

        Returns:
            `(batch, points, clusters)`, in [0, 1], with a sum of one over the clusters; 0 without clusters.
        """
        scores = self.scores(points).masked_fill(~self.used[:, :, None], -torch.inf)
        nothing = ~self.used.any(dim=1)[:, None, None]
        posteriors = scores.masked_fill(nothing, 0.0).softmax(dim=1)
        return posteriors.masked_fill(nothing, 0.0).mT

    @abstractmethod
    def scores(self, points: Tensor) -> Tensor:
        """Unnormalised log posteriors, `(batch, clusters, points)`."""


class Clusterer(ABC):
    """Clustering of batches of point clouds, with several attempts for each.

    Equal points give equal clusters, independent of the rest of the batch.

    Args:
        restarts: Attempts from different random centres; the best one counts. With 0, only the given start.
        iterations: Most steps of an attempt.
        tolerance: Convergence threshold: sum of the centres' squared moves, relative to the mean squared
            distance of the points from their mean.
        seed: Seed of the random centres.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self, restarts: int = 10, iterations: int = 100, tolerance: float = 1e-6, seed: int = 0
    ) -> None:
        if restarts < 0 or iterations < 1 or tolerance < 0:
            raise UsageError(
                f"restarts {restarts} and tolerance {tolerance:g} must not be negative, iterations "
                f"{iterations} must be at least 1"
            )
        self.search = Search(restarts, iterations, tolerance, seed)

    @torch.no_grad()
    def fit(
        self,
        points: Tensor,
        counted: Tensor,
        clusters: int,
        start: Start | None = None,
        limit: Tensor | None = None,
    ) -> Fit:
        """Find clusters.

        Args:
            points: `(batch, points, dimensions)`.
            counted: Weight of each point, or True for points that count, `(batch, points)`.
            clusters: Number of clusters; fewer are found if there are fewer different points.
            start: Prior knowledge of the clusters.
            limit: Most clusters in each item, `(batch,)`. If None, `clusters`.

        Returns:
            The clusters, in the order of the start; without a start, in any order.

        Raises:
            UsageError: The shapes do not fit.
        """
        if points.ndim != 3 or counted.shape != points.shape[:2] or clusters < 1:
            raise UsageError(
                f"points {tuple(points.shape)} must be (batch, points, dimensions), those that count "
                f"{tuple(counted.shape)} must be (batch, points), and clusters {clusters} at least 1"
            )
        if start is not None and start.centres.shape != (points.shape[0], clusters, points.shape[2]):
            raise UsageError(f"a start of {tuple(start.centres.shape)} centres does not fit the points")
        if limit is None:
            limit = torch.full((points.shape[0],), clusters, device=points.device)
        points = points.to(torch.promote_types(points.dtype, torch.float32))
        cloud = Cloud.of(points, counted.to(points.dtype))
        prior = None if start is None else start.around(cloud.mean)
        return self.refine(cloud, self.search(cloud, clusters, limit, prior), prior)

    @abstractmethod
    def refine(self, cloud: Cloud, found: Partition, prior: Start | None) -> Fit:
        """Fit the model of this clusterer, from the best partition of the points."""
