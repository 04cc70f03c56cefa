"""Which estimate belongs to which source: the assignment of greatest total score."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import torch
from torch import Tensor

from soloist.metrics.assignment import assign

ENUMERATED = 4
"""Sources up to which all orders are tried, all items at once."""


@cache
def _orders(num_sources: int) -> Tensor:
    return torch.tensor(list(permutations(range(num_sources))))


def best_order(score: Tensor) -> Tensor:
    """The one-to-one assignment of greatest total score: by enumeration, above four by the Hungarian method.

    Args:
        score: `(batch, sources, sources)`: how well estimate `j` fits source `i`, at `[:, i, j]`.

    Returns:
        `(batch, sources)`: for each source the index of its estimate. Equal scores change nothing: the order
        stays as it is.
    """
    num_sources = score.shape[-1]
    if num_sources > ENUMERATED:
        # What is not a number fits nothing.
        costs = -torch.nan_to_num(score.double(), nan=-1e9, posinf=1e9, neginf=-1e9).cpu().numpy()
        found = torch.tensor([assign(cost) for cost in costs], dtype=torch.long, device=score.device)
        return found.reshape(score.shape[:2])
    orders = _orders(num_sources).to(score.device)
    totals = score[:, torch.arange(num_sources, device=score.device), orders].sum(dim=-1)
    return orders[totals.argmax(dim=-1)]
