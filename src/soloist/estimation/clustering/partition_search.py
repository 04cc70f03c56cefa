"""Search for the partition of points with the least squared distances from the centres.

[1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982.
[2] D. Arthur and S. Vassilvitskii, "k-means++: The advantages of careful seeding", SODA 2007.

Attempts run together along an axis: centres are `(batch, attempts, clusters, dimensions)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.estimation.clustering.cloud import Cloud
from soloist.metrics import best_order


@dataclass(frozen=True)
class Start:
    """Prior knowledge of clusters.

    Attributes:
        centres: `(batch, clusters, dimensions)`.
        mass: Weight of the prior centre, in points, `(batch, clusters)`. With 0, the centre is only the start
            of the search.
        known: True for known centres, `(batch, clusters)`; the search finds the others.
    """

    centres: Tensor
    mass: Tensor
    known: Tensor

    @classmethod
    def at(cls, centres: Tensor) -> Start:
        """Start a search at centres `(batch, clusters, dimensions)`, without weight."""
        mass = centres.new_zeros(centres.shape[:2])
        return cls(centres, mass, torch.ones_like(mass, dtype=torch.bool))

    def around(self, mean: Tensor) -> Start:
        """Subtract a mean `(batch, 1, dimensions)` from the centres."""
        return Start((self.centres - mean).to(mean), (self.mass * self.known).to(mean), self.known)


@dataclass(frozen=True)
class Partition:
    """Best centres of a search, and the points of each.

    Attributes:
        centres: Centres relative to the mean of the cloud, `(batch, clusters, dimensions)`.
        used: True for centres that exist, `(batch, clusters)`.
        shares: Weight of each point at its nearest centre, else 0, `(batch, clusters, points)`.
    """

    centres: Tensor
    used: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Search:
    """Search from several random starts; attributes are the arguments of `Clusterer`."""

    restarts: int
    iterations: int
    tolerance: float
    seed: int

    def __call__(self, cloud: Cloud, clusters: int, limit: Tensor, start: Start | None) -> Partition:
        """Find the best partition into `clusters` clusters, at most `limit` `(batch,)` of them used.

        With a start, the search also runs without it, and brings the result into the order of the start. So a
        centre that lost its points is not drawn to others, and a wrong centre does not persist.
        """
        generator = torch.Generator().manual_seed(self.seed)
        draws = torch.rand(max(1, self.restarts), clusters, generator=generator).to(cloud.points)
        if start is None:
            return self._best(cloud, *seed_centres(cloud, draws, limit, None), None)
        attempts = [seed_centres(cloud, draws[:1], limit, start)]
        if self.restarts:
            free = self._best(cloud, *seed_centres(cloud, draws, limit, None), None)
            attempts.append(_in_order_of(start, free))
        centres, used = (torch.cat(parts, dim=1) for parts in zip(*attempts, strict=True))
        return self._best(cloud, centres, used, start)

    def _best(self, cloud: Cloud, centres: Tensor, used: Tensor, start: Start | None) -> Partition:
        """Run all attempts to convergence, and return the one with the least squared distances."""
        centres, used = self._settle(cloud, centres, used, start)
        shares, least = share_points(cloud, centres, used)
        distances = (least * cloud.weights[:, None]).sum(dim=2)
        if start is not None:
            moves = (centres - start.centres[:, None]).square().sum(dim=-1)
            distances = distances + (start.mass[:, None] * moves).sum(dim=-1)
        # Without points all distances are NaN, and any attempt will do.
        best = distances.nan_to_num(nan=0.0).argmin(dim=1)
        item = torch.arange(len(best), device=best.device)
        return Partition(centres[item, best], used[item, best], shares[item, best])

    def _settle(
        self, cloud: Cloud, centres: Tensor, used: Tensor, start: Start | None
    ) -> tuple[Tensor, Tensor]:
        """Move centres to the means of their points until convergence; converged attempts stay."""
        still = self.tolerance * cloud.variance[:, None]
        moving = torch.ones_like(used[..., 0])
        for _ in range(self.iterations):
            shares, _ = share_points(cloud, centres, used)
            moved = means_of(cloud, shares, start)
            empty = used & (shares.sum(dim=-1) == 0)
            empty = empty if start is None else empty & (start.mass == 0)[:, None]
            if empty.any():
                moved, used = _seed_again(cloud, moved, used, empty)
            moved = torch.where((moving[..., None] & used)[..., None], moved, centres)
            moving = moving & ((moved - centres).square().sum(dim=(-2, -1)) > still)
            centres = moved
            if not moving.any():
                break
        return centres, used


def share_points(cloud: Cloud, centres: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
    """Assign each point to its nearest centre, or to all nearest centres equally.

    Returns:
        Weight of each point at its centre, else 0, `(batch, attempts, clusters, points)`; and squared
        distance from the centre minus that from the mean, `(batch, attempts, points)`.
    """
    scores = _distances(cloud, centres, used)
    least = scores.amin(dim=2, keepdim=True)
    shares = (scores == least).to(scores.dtype)
    shares *= cloud.weights[:, None, None] / shares.sum(dim=2, keepdim=True)
    return shares, least[:, :, 0]


def means_of(cloud: Cloud, shares: Tensor, start: Start | None) -> Tensor:
    """Weighted means of points and prior centres, `(batch, attempts, clusters, dimensions)`."""
    sums = (shares.flatten(1, 2) @ cloud.points).unflatten(1, shares.shape[1:3])
    mass = shares.sum(dim=-1, keepdim=True)
    if start is not None:
        held = start.mass[:, None, :, None]
        sums, mass = sums + held * start.centres[:, None], mass + held
    return sums / mass.clamp(min=torch.finfo(mass.dtype).tiny)


def seed_centres(cloud: Cloud, draws: Tensor, limit: Tensor, start: Start | None) -> tuple[Tensor, Tensor]:
    """Draw centres among the points, with probability proportional to the squared distance from others [2].

    Args:
        cloud: The points.
        draws: Uniform numbers in [0, 1), `(attempts, clusters)`.
        limit: Most centres of each item, `(batch,)`.
        start: Known centres.

    Returns:
        Centres `(batch, attempts, clusters, dimensions)`, and True for centres that exist, at most as many as
        there are different points, `(batch, attempts, clusters)`.
    """
    (batch, _, dimensions), (attempts, clusters) = cloud.points.shape, draws.shape
    centres = cloud.points.new_zeros(batch, attempts, clusters, dimensions)
    used = torch.zeros(batch, attempts, clusters, dtype=torch.bool, device=centres.device)
    if start is not None:
        centres, used = centres + start.centres[:, None], used | start.known[:, None]
    chances = cloud.weights[:, None].expand(-1, attempts, -1)
    nearest = _distances(cloud, centres, used).amin(dim=2) + cloud.squares[:, None]
    for index in range(clusters):
        first = ~used.any(dim=2, keepdim=True)
        far = torch.where(nearest > cloud.resolution[:, None, None], nearest, 0.0)
        weighted = torch.where(first, chances, chances * far.nan_to_num(posinf=0.0))
        drawn = _draw(weighted, draws[:, index])
        place = torch.take_along_dim(cloud.points, drawn[..., None], dim=1)
        fresh = ~used[:, :, index] & (weighted.amax(dim=2) > 0) & (used.sum(dim=2) < limit[:, None])
        centres[:, :, index] = torch.where(fresh[..., None], place, centres[:, :, index])
        used[:, :, index] |= fresh
        to_this = _distances(cloud, centres[:, :, [index]], fresh[..., None])[:, :, 0]
        nearest = torch.minimum(nearest, to_this + cloud.squares[:, None])
    return centres, used


def _draw(chances: Tensor, draws: Tensor) -> Tensor:
    """Draw a point for each attempt in proportion to `chances` `(batch, attempts, points)`.

    Returns:
        Indices `(batch, attempts)`.
    """
    cumulative = chances.cumsum(dim=2)
    # Just below the sum, so that rounding never draws a point after the last chance.
    targets = draws[None] * (1 - 1e-6) * cumulative[..., -1]
    drawn = torch.searchsorted(cumulative, targets[..., None], right=True)[..., 0]
    return drawn.clamp(max=chances.shape[2] - 1)


def _distances(cloud: Cloud, centres: Tensor, used: Tensor) -> Tensor:
    """Squared distances minus the points' own squares, `(batch, attempts, clusters, points)`.

    Unused centres are infinitely far away.
    """
    flat = centres.flatten(1, 2)
    squares = flat.square().sum(dim=-1).masked_fill_(~used.flatten(1), torch.inf)
    products = torch.baddbmm(squares[..., None], flat, cloud.points.mT, alpha=-2)
    return products.unflatten(1, centres.shape[1:3])


def _seed_again(cloud: Cloud, centres: Tensor, used: Tensor, empty: Tensor) -> tuple[Tensor, Tensor]:
    """Move centres without points to the points farthest from any other centre."""
    distances = _distances(cloud, centres, used & ~empty).amin(dim=2) + cloud.squares[:, None]
    distances = distances.masked_fill_(cloud.weights[:, None] == 0, 0.0)
    count = min(centres.shape[2], distances.shape[2])
    farthest, places = distances.topk(count, dim=2)
    rank = (empty.cumsum(dim=2) - 1).clamp(0, count - 1)
    places = torch.take_along_dim(places, rank, dim=2)
    item = torch.arange(len(places), device=places.device)[:, None, None]
    centres = torch.where(empty[..., None], cloud.points[item, places], centres)
    found = torch.take_along_dim(farthest, rank, dim=2) > cloud.resolution[:, None, None]
    return centres, used & (found | ~empty)


def _in_order_of(start: Start, found: Partition) -> tuple[Tensor, Tensor]:
    """Return the centres of a partition in the order that fits a start best, as one attempt."""
    distances = torch.cdist(start.centres, found.centres).square()
    # Unused centres match a known one last.
    far = 10 * distances.amax(dim=(1, 2), keepdim=True)
    distances = torch.where(found.used[:, None], distances, far)
    # Known centres without mass still decide the order, with a small weight.
    held = start.mass + 1e-3 * start.known
    order = best_order(-held[:, :, None] * distances)
    centres = torch.take_along_dim(found.centres, order[..., None], dim=1)
    used = torch.take_along_dim(found.used, order, dim=1)
    centres = torch.where(used[..., None], centres, start.centres)
    return centres[:, None], (used | start.known)[:, None]
