"""Estimates in the order that agrees best with another set of estimates."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from soloist.metrics.permutation import best_order


def align_sources(estimates: Tensor, anchor: Tensor, where: slice) -> Tensor:
    """Permute estimates so that they correlate best with an anchor over the samples they share.

    Args:
        estimates: `(batch, sources, channels, samples)`.
        anchor: `(batch, sources, channels, shared)`.
        where: The samples of `estimates` that correspond to those of `anchor`.

    Returns:
        `estimates` with its sources in the anchor's order.
    """
    shared = rearrange(estimates[..., where], "b s c t -> b s (c t)")
    fixed = rearrange(anchor, "b s c t -> b s (c t)")
    order = best_order(torch.einsum("b i t, b j t -> b i j", fixed, shared))
    return torch.take_along_dim(estimates, order[:, :, None, None], dim=1)
