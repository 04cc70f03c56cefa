"""Gaussian mixtures, fitted by expectation maximisation.

A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
Journal of the Royal Statistical Society B 39(1), 1977.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation.clustering.cloud import Cloud
from soloist.estimation.clustering.clusterer import Clusterer, Fit
from soloist.estimation.clustering.partition_search import Partition, Start, means_of

Covariance = Literal["full", "tied", "diagonal", "spherical"]
"""Covariance of each cluster: "full"; "tied", one for all; "diagonal"; or "spherical"."""

_JITTER = 1e-5
"""Regularisation of the diagonal for single precision, relative to the trace of a covariance."""


@dataclass(frozen=True)
class GaussianFit(Fit):
    """Gaussian clusters.

    Attributes:
        logs: Logarithms of the clusters' shares of all points, `(batch, clusters)`.
        covariances: `(batch, clusters, dimensions, dimensions)`.
        whitening: Inverses of the Cholesky factors of the covariances, `(batch, clusters, dimensions,
            dimensions)`.
    """

    logs: Tensor
    covariances: Tensor
    whitening: Tensor

    @classmethod
    def of(
        cls, centres: Tensor, covariances: Tensor, shares: Tensor, used: Tensor, mass: Tensor
    ) -> GaussianFit:
        """Make Gaussians from positive definite covariances and shares of all points."""
        factors = torch.linalg.cholesky(covariances)
        eye = torch.eye(centres.shape[-1]).to(centres)
        whitening = torch.linalg.solve_triangular(factors, eye, upper=False)
        return cls(centres, used, mass, shares.clamp(min=1e-12).log(), covariances, whitening)

    def scores(self, points: Tensor) -> Tensor:
        """Log densities of the clusters plus logs of their shares, `(batch, clusters, points)`."""
        # Relative to the mean of the centres, for precision of small differences.
        middle = self.centres.mean(dim=1, keepdim=True)
        white = self.whitening.flatten(1, 2) @ (points.to(middle) - middle).mT
        white = white.unflatten(1, self.whitening.shape[1:3])
        centred = white - self.whitening @ (self.centres - middle)[..., None]
        volume = self.whitening.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1) + self.logs
        constant = 0.5 * self.centres.shape[-1] * math.log(2 * math.pi)
        return volume[..., None] - constant - 0.5 * centred.square().sum(dim=2)


class GaussianMixture(Clusterer):
    """Mixture of Gaussians, initialised with the best partition of k-means.

    Args:
        covariance: Constraint on the covariances; see `Covariance`.
        regularization: Added to the variances.
        likelihood_tolerance: Convergence threshold of the fit: rise of the mean log likelihood.
        restarts: Attempts at the initial partition; see `Clusterer`.
        iterations: Most steps of an attempt, and of the fit.
        tolerance: Convergence threshold of an attempt; see `Clusterer`.
        seed: Seed of the attempts.

    Raises:
        UsageError: The covariance is unknown, or a number is out of range.
    """

    def __init__(
        self,
        covariance: Covariance = "full",
        regularization: float = 1e-6,
        likelihood_tolerance: float = 1e-3,
        restarts: int = 10,
        iterations: int = 100,
        tolerance: float = 1e-6,
        seed: int = 0,
    ) -> None:
        super().__init__(restarts, iterations, tolerance, seed)
        if covariance not in get_args(Covariance):
            raise UsageError(f"covariance {covariance!r} is none of {', '.join(get_args(Covariance))}")
        if regularization < 0 or likelihood_tolerance < 0:
            raise UsageError("regularization and likelihood_tolerance must not be negative")
        self.covariance: Covariance = covariance
        self.regularization = regularization
        self.likelihood_tolerance = likelihood_tolerance

    def refine(self, cloud: Cloud, found: Partition, prior: Start | None) -> GaussianFit:
        """Alternate fits of the Gaussians and posteriors of the points, from the partition on."""
        fit = self._maximize(cloud, found.shares, found.used, prior)
        total = cloud.weights.sum(dim=1).clamp(min=1e-8)
        before = torch.full_like(total, -torch.inf)
        moving = torch.ones_like(total, dtype=torch.bool)
        for _ in range(self.search.iterations):
            scores = fit.scores(cloud.points).masked_fill(~found.used[..., None], -torch.inf)
            scores = scores.masked_fill(~found.used.any(dim=1)[:, None, None], 0.0)
            likelihood = (scores.logsumexp(dim=1) * cloud.weights).sum(dim=1) / total
            shares = scores.softmax(dim=1) * (cloud.weights[:, None] * found.used[..., None])
            fit = _choose(moving, self._maximize(cloud, shares, found.used, prior), fit)
            moving = moving & ((likelihood - before).abs() >= self.likelihood_tolerance)
            before = likelihood
            if not moving.any():
                break
        return replace(fit, centres=fit.centres + cloud.mean)

    def _maximize(self, cloud: Cloud, shares: Tensor, used: Tensor, prior: Start | None) -> GaussianFit:
        """Most likely Gaussians for points with shares `(batch, clusters, points)`."""
        centres = means_of(cloud, shares[:, None], prior)[:, 0]
        mass = shares.sum(dim=-1)
        apart = (cloud.points[:, None] - centres[:, :, None]) * shares.sqrt()[..., None]
        scatter = apart.mT @ apart
        held = mass
        if prior is not None:
            # Remembered points contribute their move, and the average width of the clusters.
            moves = centres - prior.centres
            pooled = scatter.sum(dim=1, keepdim=True) / mass.sum(dim=1).clamp(min=1e-8)[:, None, None, None]
            outer = moves[..., :, None] * moves[..., None, :] + pooled
            scatter, held = scatter + prior.mass[..., None, None] * outer, mass + prior.mass
        covariances = self._constrain(scatter, held)
        trace = covariances.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        ridge = self.regularization + _JITTER * trace + 1e-12
        eye = torch.eye(centres.shape[-1]).to(centres)
        covariances = covariances + ridge[..., None, None] * eye
        shares_of_all = held / held.sum(dim=1, keepdim=True).clamp(min=1e-8)
        return GaussianFit.of(centres, covariances, shares_of_all, used, mass)

    def _constrain(self, scatter: Tensor, mass: Tensor) -> Tensor:
        """Constrained covariances from scatter matrices and masses."""
        if self.covariance == "tied":
            total = mass.sum(dim=1).clamp(min=1e-8)[:, None, None, None]
            return (scatter.sum(dim=1, keepdim=True) / total).expand_as(scatter)
        covariances = scatter / mass.clamp(min=1e-8)[..., None, None]
        if self.covariance == "full":
            return covariances
        variances = covariances.diagonal(dim1=-2, dim2=-1)
        if self.covariance == "spherical":
            variances = variances.mean(dim=-1, keepdim=True).expand_as(variances)
        return torch.diag_embed(variances)


def _choose(moving: Tensor, new: GaussianFit, old: GaussianFit) -> GaussianFit:
    """Select the new Gaussians for items that still move, and the old ones for the others."""
    chosen = {}
    for name in ("centres", "mass", "logs", "covariances", "whitening"):
        values = getattr(new, name)
        chosen[name] = torch.where(moving.view(-1, *[1] * (values.ndim - 1)), values, getattr(old, name))
    return replace(new, **chosen)
