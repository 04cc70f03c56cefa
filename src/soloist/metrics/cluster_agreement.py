"""Agreement of clusters of time-frequency points with their sources."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from soloist.errors import UsageError
from soloist.metrics.assignment import best_order


def clustering_accuracy(
    sources: Tensor, clusters: Tensor, *, num_sources: int, weights: Tensor | None = None
) -> Tensor:
    """Share of points in the cluster of their source, with the best matching of clusters to sources.

    Args:
        sources: Index of the source of each point, `(batch, points)`, in `[0, num_sources)`.
        clusters: Index of the cluster of each point, `(batch, points)`, in `[0, num_sources)`.
        num_sources: Number of sources, and of clusters.
        weights: Non-negative weight of each point, such as its magnitude, `(batch, points)`. If None, all
            are 1.

    Returns:
        `(batch,)`, in [0, 1], float64; NaN if no point has a weight.

    Raises:
        UsageError: Shapes differ, or an index is out of range.
    """
    weights = torch.ones_like(sources, dtype=torch.float64) if weights is None else weights.double()
    if sources.ndim != 2 or not sources.shape == clusters.shape == weights.shape:
        raise UsageError(
            f"sources {tuple(sources.shape)}, clusters {tuple(clusters.shape)} and weights "
            f"{tuple(weights.shape)} must all be (batch, points)"
        )
    if any(x.numel() and not 0 <= int(x.min()) <= int(x.max()) < num_sources for x in (sources, clusters)):
        raise UsageError(f"indices of sources and clusters must lie in 0..{num_sources - 1}")
    true = one_hot(sources.long(), num_sources).double() * weights[..., None]
    counts = torch.einsum("b p i, b p j -> b i j", true, one_hot(clusters.long(), num_sources).double())
    matched = torch.take_along_dim(counts, best_order(counts)[..., None], dim=2)
    return matched.sum(dim=(1, 2)) / weights.sum(dim=1)
