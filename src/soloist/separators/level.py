"""Level of a mixture, which normalisation takes away and gives back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Level:
    """Mean and standard deviation of a mixture, for normalisation.

    Both have shape `(batch, 1, 1)`. The deviation is unbiased, with a floor: silence stays silence.
    """

    mean: Tensor
    deviation: Tensor

    floor = 1e-8

    @classmethod
    def of(cls, mixture: Tensor) -> Level:
        """Measure a mixture `(batch, channels, samples)` over the mean of its channels."""
        mono = mixture.mean(dim=1, keepdim=True)
        mean = mono.mean(dim=-1, keepdim=True)
        deviation = mono.std(dim=-1, keepdim=True) if mono.shape[-1] > 1 else torch.zeros_like(mean)
        return cls(mean, deviation + cls.floor)

    def normalize(self, mixture: Tensor) -> Tensor:
        """Bring a mixture `(batch, channels, samples)` to zero mean and unit deviation."""
        return (mixture - self.mean) / self.deviation

    def restore(self, estimates: Tensor, share: float) -> Tensor:
        """Bring estimates back to the mixture's level.

        Args:
            estimates: `(batch, sources, channels, samples)`.
            share: Part of the mean that each estimate gets; see `Separator.mean_share`.
        """
        return estimates * self.deviation[:, None] + share * self.mean[:, None]

    def restore_coefficients(self, coefficients: Tensor, ones: Tensor, share: float) -> Tensor:
        """`restore` for coefficients of a linear transform.

        Args:
            coefficients: `(batch, sources, channels, ...)`.
            ones: Coefficients of a signal of ones, `(1, 1, ...)`.
            share: Part of the mean that each estimate gets.
        """
        mean, deviation = (
            values.reshape(-1, *[1] * (coefficients.ndim - 1)) for values in (self.mean, self.deviation)
        )
        return coefficients * deviation + share * mean * ones[:, None]
