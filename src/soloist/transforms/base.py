"""What every analysis/synthesis pair promises."""

from __future__ import annotations

from torch import Tensor, nn


class Transform(nn.Module):
    """An analysis `forward` and its synthesis `inverse`, exact for any length from one sample.

    Subclasses are differentiable, work on any batch and device, and do not loop over frames or bins.
    """

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)` into coefficients."""
        raise NotImplementedError

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `length` samples `(batch, channels, length)` from coefficients."""
        raise NotImplementedError
