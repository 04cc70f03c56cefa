"""Estimates in the order that agrees best with another set of estimates."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from soloist.metrics import best_order

CLEAR = 0.05
"""Part of the energy that is to be expected by which another order must agree better before it is taken."""


def align_sources(estimates: Tensor, anchor: Tensor, where: slice) -> Tensor:
    """Permute estimates so that they correlate best with an anchor over the samples they share.

    Args:
        estimates: `(batch, sources, channels, samples)`.
        anchor: `(batch, sources, channels, shared)`.
        where: The samples of `estimates` that correspond to those of `anchor`.

    Returns:
        `estimates` with its sources in the anchor's order.
    """
    return _permute(estimates, best_order(_agreement(estimates[..., where], anchor)))


class OrderKeeper:
    """Keeps the order of sources that keep it by themselves, unless what they share says clearly otherwise.

    Where sources are silent, next to nothing says which is which; the order then stays as it was.
    """

    def __init__(self) -> None:
        self._order: Tensor | None = None

    def align(self, estimates: Tensor, anchor: Tensor, where: slice) -> Tensor:
        """The next estimates in the anchor's order; shapes are those of `align_sources`."""
        shared = estimates[..., where]
        agreement = _agreement(shared, anchor)
        kept = self._order
        if kept is None:
            kept = torch.arange(estimates.shape[1], device=estimates.device).expand(len(estimates), -1)
        order = best_order(agreement)
        gain = _total(agreement, order) - _total(agreement, kept)
        expected = estimates.square().flatten(1).sum(dim=1) * (shared.shape[-1] / estimates.shape[-1])
        self._order = torch.where((gain > CLEAR * expected)[:, None], order, kept)
        return _permute(estimates, self._order)


def _agreement(shared: Tensor, anchor: Tensor) -> Tensor:
    """How well each estimate fits each of the anchor's sources, `(batch, sources, estimates)`."""
    fixed = rearrange(anchor, "b s c t -> b s (c t)")
    return torch.einsum("b i t, b j t -> b i j", fixed, rearrange(shared, "b s c t -> b s (c t)"))


def _total(agreement: Tensor, order: Tensor) -> Tensor:
    return torch.take_along_dim(agreement, order[..., None], dim=2).sum(dim=(1, 2))


def _permute(estimates: Tensor, order: Tensor) -> Tensor:
    return torch.take_along_dim(estimates, order[:, :, None, None], dim=1)
