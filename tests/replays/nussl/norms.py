"""Normalisations of nussl's networks, on `(batch, frames, features, channels)` and more axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class _Grouped(nn.Module):
    """Norm of `num_features` groups of neighbours along the axis `feature_dim`."""

    def __init__(self, name: str, norm: nn.Module, num_features: int, feature_dim: int) -> None:
        super().__init__()
        self.name, self.num_features, self.feature_dim = name, num_features, feature_dim
        self.add_module(name, norm)

    def forward(self, data: Tensor) -> Tensor:
        """Normalise `(batch, ...)`."""
        swapped = data.transpose(self.feature_dim, 1)
        rows = swapped.reshape(len(data), self.num_features, -1)
        return self.get_submodule(self.name)(rows).reshape(swapped.shape).transpose(self.feature_dim, 1)


def batch_norm(num_features: int = 1, feature_dim: int = 2, **options: Any) -> nn.Module:
    """Make nussl's `BatchNorm`, by default with one statistic over all axes."""
    return _Grouped("batch_norm", nn.BatchNorm1d(num_features, **options), num_features, feature_dim)


def instance_norm(num_features: int = 1, feature_dim: int = 2, **options: Any) -> nn.Module:
    """Make nussl's `InstanceNorm`."""
    return _Grouped("instance_norm", nn.InstanceNorm1d(num_features, **options), num_features, feature_dim)


def group_norm(num_features: int, num_groups: int = 1, feature_dim: int = 2, **options: Any) -> nn.Module:
    """Make nussl's `GroupNorm`."""
    norm = nn.GroupNorm(num_groups, num_features, **options)
    return _Grouped("group_norm", norm, num_features, feature_dim)


class LayerNorm(nn.Module):
    """Normalisation over some axes by the unbiased variance.

    Args:
        num_features: Length of each axis.
        feature_dims: Axes to normalise over.
        eps: Constant added to the variance.
    """

    def __init__(
        self, num_features: int | Sequence[int], feature_dims: int | Sequence[int] = 2, eps: float = 1e-8
    ) -> None:
        super().__init__()
        sizes = [num_features] if isinstance(num_features, int) else list(num_features)
        self.dims = [feature_dims] if isinstance(feature_dims, int) else list(feature_dims)
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(sizes))
        self.beta = nn.Parameter(torch.zeros(sizes))

    def forward(self, data: Tensor) -> Tensor:
        """Normalise."""
        variance, mean = torch.var_mean(data, self.dims, keepdim=True)
        shape = [size if dim in self.dims else 1 for dim, size in enumerate(data.shape)]
        gain, shift = (values.reshape(shape) for values in (self.gamma, self.beta))
        return (data - mean) / (variance + self.eps).sqrt() * gain + shift
