"""Whether there is a gap between clusters, or whether they are parts of one."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.estimation.clustering.cluster_confidence import sample_points
from soloist.estimation.clustering.clusterer import Fit

WIDTH = 0.15
"""Half the width of the places where points are counted, as a part of the distance of two centres."""


@torch.no_grad()
def measure_gaps(fit: Fit, points: Tensor, counted: Tensor) -> Tensor:
    """How deep the gaps between clusters are: how far fewer points lie midway between centres than at these.

    Points are looked at along the line from one centre to the other, so that noise in many dimensions does
    not hide a gap. An even or a normal distribution that is cut in two has none.

    Args:
        fit: The clusters.
        points: What they were found in, `(batch, points, dimensions)`.
        counted: Which of the points count, `(batch, points)`.

    Returns:
        `(batch, clusters, clusters)`: 1 where no point is midway between two centres, 0 where there are as
        many as at the centre that has fewer, or more. From a cluster without points the gap is 1.
    """
    points, weights = sample_points(points, counted)
    labels = fit.posteriors(points).argmax(dim=2)
    members = torch.nn.functional.one_hot(labels, fit.used.shape[1]).to(points.dtype) * weights[..., None]
    both = members[:, :, :, None] + members[:, :, None, :]
    apart = fit.centres[:, None] - fit.centres[:, :, None]
    squares = apart.square().sum(dim=-1).clamp(min=torch.finfo(points.dtype).tiny)
    offsets = (fit.centres[:, :, None] * apart).sum(dim=-1)
    along = (torch.einsum("b n d, b i j d -> b n i j", points, apart) - offsets[:, None]) / squares[:, None]
    here, midway, there = (((along - place).abs() < WIDTH).mul(both).sum(dim=1) for place in (0.0, 0.5, 1.0))
    least = torch.minimum(here, there)
    gaps = (1 - midway / least.clamp(min=1)).clamp(min=0) * (least > 0)
    empty = members.sum(dim=1) == 0
    return torch.where(empty[:, :, None] | empty[:, None, :], 1.0, gaps)
