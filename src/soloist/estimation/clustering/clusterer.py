"""What all ways of clustering share: where they begin, what they look at, and what comes out."""

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
    """Clusters that were found in a cloud of points.

    Attributes:
        centres: `(batch, clusters, dimensions)`.
        used: Which clusters there are, boolean `(batch, clusters)`. There are fewer than were asked for where
            there are not as many different points.
        mass: Weight of the points that are nearest to each centre, `(batch, clusters)`.
    """

    centres: Tensor
    used: Tensor
    mass: Tensor

    def posteriors(self, points: Tensor) -> Tensor:
        """How much of each point belongs to each cluster: one in all, or nothing where there are no clusters.

        Args:
            points: `(batch, points, dimensions)`; not only those that were fitted.

        Returns:
            `(batch, points, clusters)`, in [0, 1].
        """
        scores = self.scores(points).masked_fill(~self.used[:, :, None], -torch.inf)
        nothing = ~self.used.any(dim=1)[:, None, None]
        posteriors = scores.masked_fill(nothing, 0.0).softmax(dim=1)
        return posteriors.masked_fill(nothing, 0.0).mT

    @abstractmethod
    def scores(self, points: Tensor) -> Tensor:
        """Logarithms of what the posteriors are proportional to, `(batch, clusters, points)`."""


class Clusterer(ABC):
    """Finds clusters in clouds of points: several clouds, and several attempts at each, at once.

    The same points give the same clusters each time, whatever else is in the batch.

    Args:
        restarts: Attempts, each from other seeds; the best one counts. With 0, only from the start given.
        iterations: Steps after which an attempt ends that does not come to rest.
        tolerance: An attempt has come to rest when the centres move by less: the sum of their squared moves,
            as a part of the points' mean squared distance from their mean.
        seed: Of the attempts.

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
            counted: The weight of each point, or whether it counts at all, `(batch, points)`.
            clusters: How many clusters, if there are as many different points.
            start: What is known before.
            limit: How many of the clusters may be used in each item, `(batch,)`; None for all.

        Returns:
            The clusters, in no particular order; with a start, in its order.

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
        """What this way of clustering makes of the best partition of the points."""
