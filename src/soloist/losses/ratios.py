"""Energy ratios as losses: the negative of what the metrics of the same names measure, in dB."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.losses.base import SourceLoss, energy


class SISDR(SourceLoss):
    """Negative scale-invariant signal-to-distortion ratio, in dB.

    J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019.

    Args:
        zero_mean: Remove the mean of each channel first.
        limit: Nothing beyond so many dB counts, in either direction: what is separated well enough already
            does not pull at the weights. None for no limit.
        eps: Added to energies, which keeps silence and perfection finite.
    """

    def __init__(self, zero_mean: bool = True, limit: float | None = None, eps: float = 1e-8) -> None:
        super().__init__()
        self.zero_mean = zero_mean
        self.limit = limit
        self.eps = eps

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """The ratio of each of `(batch, sources, channels, samples)`, negative; `(batch, sources)`."""
        if self.zero_mean:
            estimates = estimates - estimates.mean(dim=-1, keepdim=True)
            references = references - references.mean(dim=-1, keepdim=True)
        scale = torch.sum(estimates * references, dim=(-2, -1)) / (energy(references) + self.eps)
        targets = scale[..., None, None] * references
        ratio = (energy(targets) + self.eps) / (energy(estimates - targets) + self.eps)
        loss = -10 * torch.log10(ratio)
        return loss if self.limit is None else loss.clamp(-self.limit, self.limit)
