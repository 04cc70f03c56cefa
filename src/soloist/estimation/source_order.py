"""Order of the sources of consecutive estimates."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from soloist.metrics import best_order

CLEAR = 0.05
"""Least advantage of another order before it is taken, as a share of the expected energy."""


def align_sources(estimates: Tensor, anchor: Tensor, where: slice) -> Tensor:
    """Permute estimates for the best correlation with an anchor over shared samples.

    Args:
        estimates: `(batch, sources, channels, samples)`.
        anchor: `(batch, sources, channels, shared)`.
        where: Samples of `estimates` that correspond to `anchor`.

    Returns:
        `estimates`, with the sources in the order of the anchor.
    """
    return _permute(estimates, best_order(_agreement(estimates[..., where], anchor)))


class OrderKeeper:
    """Alignment that keeps the last order, unless another one fits the shared samples clearly better.

    With silent sources no order fits clearly better, so the order stays.
    """

    def __init__(self) -> None:
        self._order: Tensor | None = None

    def align(self, estimates: Tensor, anchor: Tensor, where: slice) -> Tensor:
        """Return the next estimates in the order of the anchor; arguments are those of `align_sources`."""
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
    """Correlation of each source of the anchor with each estimate, `(batch, sources, estimates)`."""
    fixed = rearrange(anchor, "b s c t -> b s (c t)")
    return torch.einsum("b i t, b j t -> b i j", fixed, rearrange(shared, "b s c t -> b s (c t)"))


def _total(agreement: Tensor, order: Tensor) -> Tensor:
    return torch.take_along_dim(agreement, order[..., None], dim=2).sum(dim=(1, 2))


def _permute(estimates: Tensor, order: Tensor) -> Tensor:
    return torch.take_along_dim(estimates, order[:, :, None, None], dim=1)
