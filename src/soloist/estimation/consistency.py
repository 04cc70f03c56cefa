"""Mixture consistency: the smallest change that makes estimates sum to the mixture.

Wisdom et al., "Differentiable consistency constraints for improved deep speech enhancement", ICASSP 2019.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

ConsistencyWeights = Literal["uniform", "magsq"]


def project_onto_mixture(
    estimates: Tensor, mixture: Tensor, weights: ConsistencyWeights = "uniform", eps: float = 1e-9
) -> Tensor:
    """Distribute the residual, mixture minus sum of the estimates, over the estimates.

    Args:
        estimates: `(batch, sources, channels, samples)`.
        mixture: `(batch, channels, samples)`, at the level of the estimates.
        weights: Shares of the residual: "uniform", or in proportion to the power of the estimates ("magsq"),
            so that silent estimates stay silent.
        eps: Added to the sum of the powers, an absolute value: very quiet estimates do not reach the mixture,
            and if all estimates are silent, they stay silent.

    Returns:
        Estimates `(batch, sources, channels, samples)`.
    """
    residual = (mixture - estimates.sum(dim=1))[:, None]
    if weights == "uniform":
        return estimates + residual / estimates.shape[1]
    power = estimates.square().mean(dim=-1, keepdim=True)
    return estimates + power / (power.sum(dim=1, keepdim=True) + eps) * residual
