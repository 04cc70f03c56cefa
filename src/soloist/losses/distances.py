"""Mean distances of any representation, and of waveforms."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from soloist.errors import UsageError
from soloist.losses.loss import SourceLoss

Distance = Literal["l1", "mse", "rmse"]
"""Mean absolute difference, mean squared difference, or its root."""


class DistanceLoss(SourceLoss):
    """Mean distance of estimate and reference, over all values of a source.

    Args:
        distance: Mean absolute difference, mean squared difference, or its root.
        eps: Added below the root, for a finite gradient at no difference.

    Raises:
        UsageError: The distance is unknown.
    """

    def __init__(self, distance: Distance = "l1", eps: float = 1e-8) -> None:
        super().__init__()
        if distance not in ("l1", "mse", "rmse"):
            raise UsageError(f"distance must be l1, mse or rmse, not {distance!r}")
        self.distance: Distance = distance
        self.eps = eps

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Distance of real estimates and references `(batch, sources, ...)`: `(batch, sources)`."""
        difference = (estimates - references).flatten(2)
        if self.distance == "l1":
            return difference.abs().mean(dim=-1)
        squared = difference.square().mean(dim=-1)
        return squared if self.distance == "mse" else (squared + self.eps).sqrt()


class WaveformLoss(DistanceLoss):
    """Mean distance of the samples of each estimate and its reference.

    A silent reference asks for a silent estimate.

    Args:
        distance: Mean absolute difference, mean squared difference, or its root.
        eps: Added below the root, for a finite gradient at no difference.
    """
