"""The weighted source-to-distortion ratio, which looks at what else there is in the mixture as well."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from soloist.losses.loss import Prediction, SourceLoss


class WeightedSDR(SourceLoss):
    """One less the cosine of estimate and reference, and that of what each leaves of the mixture, by energy.

    It is 0 where both agree, and at most 2. Of a silent reference only the rest counts. Each channel is
    compared by itself.

    H.-S. Choi, J.-H. Kim, J. Huh, A. Kim, J.-W. Ha and K. Lee, "Phase-aware speech enhancement with deep
    complex U-Net", ICLR 2019.

    Args:
        eps: Added to energies, which keeps the slope finite at silence.
    """

    def __init__(self, eps: float = 1e-10) -> None:
        super().__init__()
        self.eps = eps

    def comparison(self, prediction: Prediction) -> Callable[[Tensor, Tensor], Tensor]:
        """What compares estimates and references `(batch, sources, channels, samples)` in a mixture."""
        mixture = prediction.mixture[:, None]

        def compare(estimates: Tensor, references: Tensor) -> Tensor:
            noise = mixture - references
            energy, rest = (signal.square().sum(dim=-1) for signal in (references, noise))
            weight = energy / (energy + rest + self.eps)
            agreement = weight * self._cosine(estimates, references)
            agreement = agreement + (1 - weight) * self._cosine(mixture - estimates, noise)
            return 1 - agreement.mean(dim=-1)

        return compare

    def _cosine(self, first: Tensor, second: Tensor) -> Tensor:
        """Of the angle between signals `(..., samples)`."""
        energies = [signal.square().sum(dim=-1) + self.eps for signal in (first, second)]
        return (first * second).sum(dim=-1) * torch.rsqrt(energies[0]) * torch.rsqrt(energies[1])
