"""How far numbers are from one another on average, whatever they stand for."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from soloist.errors import UsageError
from soloist.losses.loss import SourceLoss

Distance = Literal["l1", "mse", "rmse"]
"""Mean absolute difference, mean squared difference, or the root of that."""


class DistanceLoss(SourceLoss):
    """The mean distance of what is compared, over everything that one source has.

    Args:
        distance: Mean absolute difference, mean squared difference, or the root of that.
        eps: Added below the root, which keeps its slope finite where there is no difference.

    Raises:
        UsageError: There is no such distance.
    """

    def __init__(self, distance: Distance = "l1", eps: float = 1e-8) -> None:
        super().__init__()
        if distance not in ("l1", "mse", "rmse"):
            raise UsageError(f"distance must be l1, mse or rmse, not {distance!r}")
        self.distance: Distance = distance
        self.eps = eps

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """The distance of each of real `(batch, sources, ...)`; `(batch, sources)`."""
        difference = (estimates - references).flatten(2)
        if self.distance == "l1":
            return difference.abs().mean(dim=-1)
        squared = difference.square().mean(dim=-1)
        return squared if self.distance == "mse" else (squared + self.eps).sqrt()


class WaveformLoss(DistanceLoss):
    """Mean distance of the samples of each estimate from those of its reference.

    A silent reference asks for a silent estimate.

    Args:
        distance: Mean absolute difference, mean squared difference, or the root of that.
        eps: Added below the root, which keeps its slope finite where there is no difference.
    """
