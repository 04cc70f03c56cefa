"""Assignment of estimates to sources, with the greatest total score."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ENUMERATED = 4
"""Largest number of sources for enumeration of all orders, for all items together."""


@cache
def _orders(num_sources: int) -> Tensor:
    return torch.tensor(list(permutations(range(num_sources))))


def best_order(score: Tensor) -> Tensor:
    """Find the one-to-one assignment of greatest total score.

    By enumeration for up to four sources, by the Hungarian method above.

    Args:
        score: Score of estimate `j` for source `i` at `[:, i, j]`; `(batch, sources, sources)`.

    Returns:
        Index of the estimate of each source, `(batch, sources)`; with equal scores, in the given order.
    """
    num_sources = score.shape[-1]
    if num_sources > ENUMERATED:
        # NaN counts as the worst score.
        costs = -torch.nan_to_num(score.double(), nan=-1e9, posinf=1e9, neginf=-1e9).cpu().numpy()
        found = torch.tensor([assign(cost) for cost in costs], dtype=torch.long, device=score.device)
        return found.reshape(score.shape[:2])
    orders = _orders(num_sources).to(score.device)
    totals = score[:, torch.arange(num_sources, device=score.device), orders].sum(dim=-1)
    return orders[totals.argmax(dim=-1)]


def assign(cost: NDArray[np.float64]) -> list[int]:
    """Find the one-to-one assignment of least total cost, by shortest augmenting paths (Hungarian method).

    Rows are added one after the other, each along the cheapest chain of re-assignments.

    R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
    problems", Computing 38, 1987.

    Args:
        cost: Finite costs, a square matrix `(rows, columns)`.

    Returns:
        Column of each row.
    """
    size = len(cost)
    row_of = np.full(size, -1)
    row_price, column_price = np.zeros(size), np.zeros(size)
    for row in range(size):
        distance = np.full(size, np.inf)
        came_from = np.full(size, -1)
        closed = np.zeros(size, dtype=bool)
        current, column, length = row, -1, 0.0
        while current >= 0:
            reached = length + cost[current] - row_price[current] - column_price
            shorter = ~closed & (reached < distance)
            distance[shorter], came_from[shorter] = reached[shorter], column
            column = int(np.argmin(np.where(closed, np.inf, distance)))
            length, closed[column] = distance[column], True
            current = row_of[column]
        column_price[closed] += distance[closed] - length
        taken = closed & (row_of >= 0)
        row_price[row_of[taken]] += length - distance[taken]
        row_price[row] += length
        while column >= 0:
            previous = came_from[column]
            row_of[column] = row_of[previous] if previous >= 0 else row
            column = previous
    return np.argsort(row_of).tolist()
