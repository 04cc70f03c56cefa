"""Which estimate is which source: the order that agrees best with another set of estimates."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import torch
from einops import rearrange
from torch import Tensor


@cache
def _orders(num_sources: int) -> Tensor:
    return torch.tensor(list(permutations(range(num_sources))))


def best_order(score: Tensor) -> Tensor:
    """The one-to-one assignment of greatest total score, by enumeration.

    Args:
        score: `(batch, sources, sources)`: how well estimate `j` fits source `i`, at `[:, i, j]`.

    Returns:
        `(batch, sources)`: for each source the index of its estimate. Ties keep the first order, so
        that equal scores change nothing.
    """
    num_sources = score.shape[-1]
    orders = _orders(num_sources).to(score.device)
    totals = score[:, torch.arange(num_sources, device=score.device), orders].sum(dim=-1)
    return orders[totals.argmax(dim=-1)]


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
