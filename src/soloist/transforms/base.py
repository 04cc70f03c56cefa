"""What every analysis/synthesis pair promises."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Transform(nn.Module):
    """An analysis `forward` and its synthesis `inverse`, exact for any length from one sample.

    Subclasses are differentiable, work on any batch and device, and do not loop over frames or bins.
    """

    def forward(self, audio: Tensor) -> Any:
        """Analyse audio `(batch, channels, samples)` into coefficients: a tensor, or a list of blocks."""
        raise NotImplementedError

    def inverse(self, coefficients: Any, length: int) -> Tensor:
        """Synthesise `length` samples `(batch, channels, length)` from coefficients."""
        raise NotImplementedError
