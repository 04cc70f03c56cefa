"""The search for the partition of points into clusters of least squared distances.

[1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982.
[2] D. Arthur and S. Vassilvitskii, "k-means++: The advantages of careful seeding", SODA 2007.

Attempts lie beside each other on an axis of their own: centres are `(batch, attempts, clusters, dimensions)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.estimation.clustering.cloud import Cloud
from soloist.metrics import best_order


@dataclass(frozen=True)
class Start:
    """What is known of clusters before their points are seen.

    Attributes:
        centres: `(batch, clusters, dimensions)`.
        mass: Weight of points that a centre holds on to its place with, `(batch, clusters)`. With none, it is
            only where the search begins.
        known: Which centres there are, boolean `(batch, clusters)`; the others are found in the points.
    """

    centres: Tensor
    mass: Tensor
    known: Tensor

    @classmethod
    def at(cls, centres: Tensor) -> Start:
        """A search that begins at centres `(batch, clusters, dimensions)`, and may go anywhere."""
        mass = centres.new_zeros(centres.shape[:2])
        return cls(centres, mass, torch.ones_like(mass, dtype=torch.bool))

    def around(self, mean: Tensor) -> Start:
        """The same in points that a mean `(batch, 1, dimensions)` has been subtracted from."""
        return Start((self.centres - mean).to(mean), (self.mass * self.known).to(mean), self.known)


@dataclass(frozen=True)
class Partition:
    """The best centres that were found, and the points that belong to them.

    Attributes:
        centres: Around the cloud's mean, `(batch, clusters, dimensions)`.
        used: Which of them there are, boolean `(batch, clusters)`.
        shares: The weight of each point, at its nearest centre, `(batch, clusters, points)`.
    """

    centres: Tensor
    used: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Search:
    """Attempts from several seeds; the best one counts. The arguments are those of `Clusterer`."""

    restarts: int
    iterations: int
    tolerance: float
    seed: int

    def __call__(self, cloud: Cloud, clusters: int, limit: Tensor, start: Start | None) -> Partition:
        """The best partition into at most `limit` `(batch,)` of `clusters` clusters.

        With a start, the clusters that are found without it are brought into its order, and are tried beside
        those that the start itself leads to: a centre that has lost its points is not drawn to others, and
        one that was wrong does not stay so.
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
        """Bring all attempts to rest and take the one of least squared distances."""
        centres, used = self._settle(cloud, centres, used, start)
        shares, least = share_points(cloud, centres, used)
        distances = (least * cloud.weights[:, None]).sum(dim=2)
        if start is not None:
            moves = (centres - start.centres[:, None]).square().sum(dim=-1)
            distances = distances + (start.mass[:, None] * moves).sum(dim=-1)
        # Without points there is no distance either, and no attempt is better than another.
        best = distances.nan_to_num(nan=0.0).argmin(dim=1)
        item = torch.arange(len(best), device=best.device)
        return Partition(centres[item, best], used[item, best], shares[item, best])

    def _settle(
        self, cloud: Cloud, centres: Tensor, used: Tensor, start: Start | None
    ) -> tuple[Tensor, Tensor]:
        """Move centres to the means of their points until they rest; what rests does not move again."""
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
    """Give each point to its nearest centre, or to all of the nearest.

    Returns:
        The weight of each point at its centre and zero elsewhere, `(batch, attempts, clusters, points)`, and
        its squared distance less that from the mean, `(batch, attempts, points)`.
    """
    scores = _distances(cloud, centres, used)
    least = scores.amin(dim=2, keepdim=True)
    shares = (scores == least).to(scores.dtype)
    shares *= cloud.weights[:, None, None] / shares.sum(dim=2, keepdim=True)
    return shares, least[:, :, 0]


def means_of(cloud: Cloud, shares: Tensor, start: Start | None) -> Tensor:
    """Weighted means of points, `(batch, attempts, clusters, dimensions)`, with what a start adds to them."""
    sums = (shares.flatten(1, 2) @ cloud.points).unflatten(1, shares.shape[1:3])
    mass = shares.sum(dim=-1, keepdim=True)
    if start is not None:
        held = start.mass[:, None, :, None]
        sums, mass = sums + held * start.centres[:, None], mass + held
    return sums / mass.clamp(min=torch.finfo(mass.dtype).tiny)


def seed_centres(cloud: Cloud, draws: Tensor, limit: Tensor, start: Start | None) -> tuple[Tensor, Tensor]:
    """Draw centres among the points, each with a chance that grows with its squared distance from the others.

    Args:
        cloud: The points.
        draws: Uniform numbers in [0, 1), `(attempts, clusters)`.
        limit: How many centres each item may have, `(batch,)`.
        start: Centres that there are already.

    Returns:
        Centres `(batch, attempts, clusters, dimensions)`, and which of them there are: no more than there are
        different points.
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
    """For each attempt a point, drawn in proportion to `(batch, attempts, points)`; `(batch, attempts)`."""
    heaped = chances.cumsum(dim=2)
    # Just below the sum, so that rounding never draws what comes after the last chance.
    targets = draws[None] * (1 - 1e-6) * heaped[..., -1]
    drawn = torch.searchsorted(heaped, targets[..., None], right=True)[..., 0]
    return drawn.clamp(max=chances.shape[2] - 1)


def _distances(cloud: Cloud, centres: Tensor, used: Tensor) -> Tensor:
    """Squared distances less the points' own squares, `(batch, attempts, clusters, points)`.

    Centres that are not used are infinitely far away.
    """
    flat = centres.flatten(1, 2)
    squares = flat.square().sum(dim=-1).masked_fill_(~used.flatten(1), torch.inf)
    products = torch.baddbmm(squares[..., None], flat, cloud.points.mT, alpha=-2)
    return products.unflatten(1, centres.shape[1:3])


def _seed_again(cloud: Cloud, centres: Tensor, used: Tensor, empty: Tensor) -> tuple[Tensor, Tensor]:
    """Put centres that have lost all their points at those that are farthest from any other centre."""
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
    """The centres of a partition in the order that fits a start best, as one attempt."""
    distances = torch.cdist(start.centres, found.centres).square()
    # What was not found is no match for what is known, but for the last of all.
    far = 10 * distances.amax(dim=(1, 2), keepdim=True)
    distances = torch.where(found.used[:, None], distances, far)
    # What is known without being held on to still says which order is nearest.
    held = start.mass + 1e-3 * start.known
    order = best_order(-held[:, :, None] * distances)
    centres = torch.take_along_dim(found.centres, order[..., None], dim=1)
    used = torch.take_along_dim(found.used, order, dim=1)
    centres = torch.where(used[..., None], centres, start.centres)
    return centres[:, None], (used | start.known)[:, None]
