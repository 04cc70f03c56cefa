"""Mean and deviation of the magnitudes of each bin, of more audio than fits into memory."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def moments(magnitudes: Tensor) -> Tensor:
    """What adds up from piece to piece: how many numbers there are, their sum, and that of their squares.

    Args:
        magnitudes: `(frequency, numbers)`.

    Returns:
        `(3, frequency)`, in double precision.
    """
    numbers = magnitudes.double()
    count = torch.full_like(numbers[:, 0], numbers.shape[1])
    return torch.stack([count, numbers.sum(dim=1), numbers.square().sum(dim=1)])


def mean_and_deviation(pieces: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each bin, both `(frequency,)`, from the `moments` of each piece."""
    count, total, squares = torch.stack(list(pieces)).sum(dim=0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    return mean.float(), deviation.float()
