"""How well clusters of time-frequency points agree with their sources."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from soloist.errors import UsageError
from soloist.metrics.assignment import best_order


def clustering_accuracy(
    sources: Tensor, clusters: Tensor, *, num_sources: int, weights: Tensor | None = None
) -> Tensor:
    """The part of points in the cluster of their source, clusters being matched to sources as is best.

    Args:
        sources: Index of the source that each point belongs to, `(batch, points)`, in `[0, num_sources)`.
        clusters: Index of the cluster that its embedding was put into, likewise.
        num_sources: Sources, and clusters.
        weights: How much each point counts `(batch, points)`, not negative, such as its magnitude; None for
            all the same.

    Returns:
        In [0, 1], `(batch,)`, float64; NaN where no point counts.

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
