"""Ratios for examples in which some of the sources may be silent.

S. Wisdom et al., "What's all the FUSS about free universal sound separation data?", ICASSP 2021.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from soloist.losses.loss import Prediction, SourceLoss, energy
from soloist.losses.permutation_invariant import PermutationInvariant


class ZeroReferenceSNR(SourceLoss):
    """Negative thresholded signal-to-noise ratio, in dB, that also knows what a silent source is worth.

    Where a source is active its energy is the measure, as in `ThresholdedSNR`. Where it is not, the mixture's
    is: the quieter the estimate, the better, until it lies `limit` dB below the mixture.

    Args:
        limit: What a perfect estimate is worth, in dB.
        activity: A reference is active if it lies no more than so many dB below the mixture.
        inactive: Whether estimates of inactive sources are "silenced", or "ignored".
    """

    def __init__(
        self,
        limit: float = 30.0,
        activity: float = 40.0,
        inactive: Literal["silenced", "ignored"] = "silenced",
    ) -> None:
        super().__init__()
        self.share = 10 ** (-limit / 10)
        self.faintest = 10 ** (-activity / 10)
        self.inactive: Literal["silenced", "ignored"] = inactive

    def views(self, prediction: Prediction, references: Tensor) -> tuple[Tensor, Tensor]:
        """Estimates and references at the level at which the mixture has the energy of one."""
        level = (energy(prediction.mixture) + 1e-9).sqrt()[:, None, None, None]
        return prediction.estimates / level, references / level

    def active(self, references: Tensor) -> Tensor:
        """Whether each reference `(batch, sources, channels, samples)`, as `views` gives it, is active."""
        return energy(references) >= self.faintest

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """The ratio of each of `(batch, sources, channels, samples)`, negative; `(batch, sources)`."""
        active = self.active(references)
        measure = torch.where(active, energy(references), 1.0)
        noise = energy(estimates - references) + self.share * measure
        loss = 10 * torch.log10(noise / measure)
        return loss if self.inactive == "silenced" else loss.masked_fill(~active, 0.0)


class ReleasedZeroReferenceSNR(PermutationInvariant):
    """What the released SuDoRM-RF code calls PermInvariantSNRwithZeroRefs.

    The sum over the active sources in their best order, times their number where the mean would divide by it:
    examples with many sources count more. Prefer `PermutationInvariant(ZeroReferenceSNR())`.

    Args:
        limit: What a perfect estimate is worth, in dB.
        activity: A reference is active if it lies no more than so many dB below the mixture.
    """

    def __init__(self, limit: float = 30.0, activity: float = 40.0) -> None:
        ratio = ZeroReferenceSNR(limit, activity, inactive="ignored")
        super().__init__(ratio)
        self.ratio = ratio

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The sum over the active sources times their number; `(batch,)`."""
        mean = super().forward(prediction, references)
        active = self.ratio.active(self.ratio.views(prediction, references)[1]).sum(dim=1)
        return mean * references.shape[1] * active
