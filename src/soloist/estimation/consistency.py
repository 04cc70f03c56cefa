"""Mixture consistency: the smallest change after which estimates add up to the mixture.

Wisdom et al., "Differentiable consistency constraints for improved deep speech enhancement", ICASSP 2019.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

ConsistencyWeights = Literal["uniform", "magsq"]


def project_onto_mixture(
    estimates: Tensor, mixture: Tensor, weights: ConsistencyWeights = "uniform", eps: float = 1e-9
) -> Tensor:
    """Share what the estimates lack of the mixture among them.

    Args:
        estimates: `(batch, sources, channels, samples)`.
        mixture: `(batch, channels, samples)`, at the same level as the estimates.
        weights: How the difference is shared: equally, or in proportion to the estimates' power, so that
            a silent estimate stays silent.
        eps: Added to the sum of the powers. It is absolute: very quiet estimates do not reach the
            mixture, and where all of them are silent they stay so.

    Returns:
        Estimates `(batch, sources, channels, samples)`.
    """
    residual = (mixture - estimates.sum(dim=1))[:, None]
    if weights == "uniform":
        return estimates + residual / estimates.shape[1]
    power = estimates.square().mean(dim=-1, keepdim=True)
    return estimates + power / (power.sum(dim=1, keepdim=True) + eps) * residual
