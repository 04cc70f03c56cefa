"""Which estimate belongs to which source: the assignment of greatest total score."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import torch
from torch import Tensor

from soloist.errors import UsageError

MAX_SOURCES = 8
"""Sources up to which all orders are tried (40,320 of them)."""


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

    Raises:
        UsageError: There are more than `MAX_SOURCES` sources.
    """
    num_sources = score.shape[-1]
    if num_sources > MAX_SOURCES:
        raise UsageError(f"an order is sought for at most {MAX_SOURCES} sources, not {num_sources}")
    orders = _orders(num_sources).to(score.device)
    totals = score[:, torch.arange(num_sources, device=score.device), orders].sum(dim=-1)
    return orders[totals.argmax(dim=-1)]
