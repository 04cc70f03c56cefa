"""The assignment problem, for more sources than all orders can be tried of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.float64]) -> list[int]:
    """The one-to-one assignment of least total cost, by the Hungarian method in its form of shortest paths.

    Rows are taken in one after the other, each along the cheapest chain of re-assignments.

    R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
    problems", Computing 38, 1987.

    Args:
        cost: Finite costs `(rows, columns)`, as many of the one as of the other.

    Returns:
        For each row its column.
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
