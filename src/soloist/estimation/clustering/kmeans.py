"""K-means and soft k-means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation.clustering.cloud import Cloud
from soloist.estimation.clustering.clusterer import Clusterer, Fit
from soloist.estimation.clustering.partition_search import Partition, Start, means_of


@dataclass(frozen=True)
class DistanceFit(Fit):
    """Clusters with posteriors by the distance `d` of a point from the centres.

    Posteriors are proportional to `exp(-exponent * d) + floor`, or `exp(-exponent * d ** 2) + floor`.

    Attributes:
        exponent: Decay of the posteriors with the distance.
        squared: Use the squared distance.
        floor: Added to the unnormalised posterior of each cluster.
    """

    exponent: float
    squared: bool
    floor: float = 0.0

    def scores(self, points: Tensor) -> Tensor:
        """Log of the unnormalised posteriors, `(batch, clusters, points)`."""
        # No matrix products: differences of large squares lose small distances.
        distances = torch.cdist(self.centres.to(points), points, compute_mode="donot_use_mm_for_euclid_dist")
        scores = -self.exponent * (distances.square() if self.squared else distances)
        return scores if not self.floor else scores.exp().add(self.floor).log()


class KMeans(Clusterer):
    """K-means: each point counts for the cluster of its nearest centre.

    Args:
        exponent: Decay of the posteriors with the distance from a centre.
        floor: Added to the unnormalised posteriors.
        restarts: Attempts; see `Clusterer`.
        iterations: Most steps of an attempt.
        tolerance: Convergence threshold; see `Clusterer`.
        seed: Seed of the attempts.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        exponent: float = 5.0,
        floor: float = 0.0,
        restarts: int = 10,
        iterations: int = 100,
        tolerance: float = 1e-6,
        seed: int = 0,
    ) -> None:
        super().__init__(restarts, iterations, tolerance, seed)
        if exponent < 0 or floor < 0:
            raise UsageError(f"exponent {exponent:g} and floor {floor:g} must not be negative")
        self.exponent = exponent
        self.floor = floor

    def refine(self, cloud: Cloud, found: Partition, prior: Start | None) -> DistanceFit:
        """Return the centres of the partition."""
        mass = found.shares.sum(dim=-1)
        return DistanceFit(found.centres + cloud.mean, found.used, mass, self.exponent, False, self.floor)


class SoftKMeans(Clusterer):
    """Soft k-means: each point counts for all clusters, by posteriors of squared distances.

    Y. Isik, J. Le Roux, Z. Chen, S. Watanabe and J. R. Hershey, "Single-channel multi-speaker separation
    using deep clustering", Interspeech 2016.

    Args:
        exponent: Hardness of the clusters, the inverse of twice the variance of a cluster.
        restarts: Attempts at the initial hard partition; see `Clusterer`.
        iterations: Most steps of an attempt, and of the soft iteration.
        tolerance: Convergence threshold; see `Clusterer`.
        seed: Seed of the attempts.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        exponent: float = 5.0,
        restarts: int = 10,
        iterations: int = 100,
        tolerance: float = 1e-6,
        seed: int = 0,
    ) -> None:
        super().__init__(restarts, iterations, tolerance, seed)
        if exponent < 0:
            raise UsageError(f"exponent {exponent:g} must not be negative")
        self.exponent = exponent

    def refine(self, cloud: Cloud, found: Partition, prior: Start | None) -> DistanceFit:
        """Move the centres to the posterior-weighted means of all points, until convergence."""
        still = self.search.tolerance * cloud.variance
        moving = torch.ones_like(still, dtype=torch.bool)
        fit = DistanceFit(found.centres, found.used, found.shares.sum(dim=-1), self.exponent, True)
        for _ in range(self.search.iterations):
            shares = fit.posteriors(cloud.points).mT * cloud.weights[:, None]
            moved = means_of(cloud, shares[:, None], prior)[:, 0]
            moved = torch.where(moving[:, None, None] & found.used[..., None], moved, fit.centres)
            moving = moving & ((moved - fit.centres).square().sum(dim=(1, 2)) > still)
            fit = DistanceFit(moved, found.used, shares.sum(dim=-1), self.exponent, True)
            if not moving.any():
                break
        return DistanceFit(fit.centres + cloud.mean, fit.used, fit.mass, self.exponent, True)
