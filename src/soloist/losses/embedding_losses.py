"""Losses on embeddings of time-frequency points, and on latent distributions.

[1] J. R. Hershey, Z. Chen, J. Le Roux and S. Watanabe, "Deep clustering: Discriminative embeddings for
    segmentation and separation", ICASSP 2016.
[2] Z.-Q. Wang, J. Le Roux and J. R. Hershey, "Alternative objective functions for deep clustering",
    ICASSP 2018.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from soloist.losses.coefficients import analysis, analyze_sources, as_blocks, as_vectors
from soloist.losses.loss import Loss, Prediction, check_shapes, full_precision, missing

PointWeights = Literal["threshold", "magnitude", "equal"]


class EmbeddingLoss(Loss):
    """Base of losses on embeddings. A subclass compares embeddings with ideal assignments.

    Each point is assigned to the source of greatest magnitude.

    Args:
        weights: Weight of each point: "threshold": 1, or 0 if the mixture is more than `threshold` below its
            loudest point; "magnitude": square root of its share in the mixture's magnitude; "equal": 1.
        threshold: Level below the loudest point of the mixture, dB.
    """

    def __init__(self, weights: PointWeights = "threshold", threshold: float = 40.0) -> None:
        super().__init__()
        self.weights: PointWeights = weights
        self.threshold = threshold

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Loss of each item, `(batch,)`."""
        check_shapes(prediction, references)
        if prediction.embeddings is None:
            raise missing("embeddings", self)
        blocks = as_blocks(prediction.embeddings)
        embeddings = torch.cat([block.flatten(1, -2) for block in blocks], dim=1)
        analyze = analysis(prediction, self)
        magnitudes = as_vectors(analyze_sources(analyze, references)).abs()
        assignments = one_hot(magnitudes.argmax(dim=1), references.shape[1])
        mixture = as_vectors(analyze_sources(analyze, prediction.mixture[:, None]))[:, 0].abs()
        with full_precision(mixture):
            return self.compare(embeddings.to(mixture), assignments.to(mixture), self.weigh(mixture))

    def compare(self, embeddings: Tensor, assignments: Tensor, weights: Tensor) -> Tensor:
        """Compare embeddings with ideal assignments.

        Args:
            embeddings: `(batch, points, dimensions)`, not normalised.
            assignments: `(batch, points, sources)`, 1 for the source of a point, else 0.
            weights: `(batch, points)`.

        Returns:
            `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement compare")

    def weigh(self, mixture: Tensor) -> Tensor:
        """Weights of the points, from the mixture's magnitudes, both `(batch, points)`."""
        if self.weights == "equal":
            return torch.ones_like(mixture)
        if self.weights == "magnitude":
            return (mixture / (mixture.sum(dim=1, keepdim=True) + 1e-6) * mixture.shape[1]).sqrt()
        faintest = mixture.amax(dim=1, keepdim=True) * 10 ** (-self.threshold / 20)
        return ((mixture >= faintest) & (mixture > 0)).to(mixture)


class DeepClustering(EmbeddingLoss):
    """Squared distance between the estimated and the ideal affinities of all pairs of points [1].

    Divided by the square of the weights' energy, for a value that does not grow with the number of points.
    """

    def compare(self, embeddings: Tensor, assignments: Tensor, weights: Tensor) -> Tensor:
        """Distance for each item, `(batch,)`; arguments are those of `EmbeddingLoss.compare`."""
        ours, ideal = _weighted(embeddings, weights), _weighted(assignments, weights)
        distance = _cross(ours, ours) - 2 * _cross(ours, ideal) + _cross(ideal, ideal)
        return distance / (weights.square().sum(dim=1).square() + 1e-8)


class WhitenedKMeans(EmbeddingLoss):
    """Squared distance of the whitened embeddings from the centres of their sources [2].

    Equals the number of dimensions minus the dimensions that the sources explain, at most one each.

    Args:
        weights: Weight of each point; see `EmbeddingLoss`.
        threshold: Level below the loudest point of the mixture from which points have no weight, dB.
        as_released: Follow nussl: dimensions plus sources minus twice the explained dimensions, with an
            identity added to the covariances, which lets points of low weight count less.
    """

    def __init__(
        self, weights: PointWeights = "threshold", threshold: float = 40.0, as_released: bool = False
    ) -> None:
        super().__init__(weights, threshold)
        self.as_released = as_released

    def compare(self, embeddings: Tensor, assignments: Tensor, weights: Tensor) -> Tensor:
        """Distance for each item, `(batch,)`; arguments are those of `EmbeddingLoss.compare`."""
        ours, ideal = _weighted(embeddings, weights), _weighted(assignments, weights)
        between = ours.mT @ ideal
        explained = self._inverse(ours) @ between @ self._inverse(ideal) @ between.mT
        trace = explained.diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        if self.as_released:
            return ours.shape[-1] + ideal.shape[-1] - 2 * trace
        return ours.shape[-1] - trace

    def _inverse(self, vectors: Tensor) -> Tensor:
        covariance = vectors.mT @ vectors
        size = covariance.shape[-1]
        if self.as_released:
            ridge = torch.ones_like(covariance[:, 0, 0])
        else:
            # Small beside the points; needed for sources without points, which have no inverse.
            ridge = 1e-5 * covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1) + 1e-8
        return torch.linalg.inv(covariance + ridge[:, None, None] * torch.eye(size).to(covariance))


class KLDivergence(Loss):
    """Kullback-Leibler divergence of a latent normal distribution from the standard one, in nats.

    Use it in a `WeightedSum` with a loss on the estimates.

    D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B.

    Args:
        per_dimension: Divide by the number of latent dimensions.
    """

    def __init__(self, per_dimension: bool = False) -> None:
        super().__init__()
        self.per_dimension = per_dimension

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Divergence for each item, `(batch,)`; the references are unused."""
        if prediction.latent is None:
            raise missing("a latent distribution", self)
        mean, deviation = (part.flatten(1) for part in prediction.latent)
        variance = deviation.square()
        terms = 0.5 * (mean.square() + variance - variance.log() - 1)
        return terms.mean(dim=1) if self.per_dimension else terms.sum(dim=1)


def _weighted(vectors: Tensor, weights: Tensor) -> Tensor:
    return normalize(vectors, dim=-1) * weights[..., None]


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """Squared Frobenius norm of the inner products of `(batch, points, ...)` and the like, `(batch,)`."""
    return (first.mT @ second).square().sum(dim=(-2, -1))
