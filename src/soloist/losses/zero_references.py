"""Signal-to-noise ratios for examples with silent sources.

S. Wisdom et al., "What's all the FUSS about free universal sound separation data?", ICASSP 2021.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from soloist.losses.loss import Prediction, SourceLoss, energy
from soloist.losses.permutation_invariant import PermutationInvariant


class ZeroReferenceSNR(SourceLoss):
    """Negative thresholded signal-to-noise ratio, in dB, with a value for silent sources.

    Relative to the energy of an active reference, as in `ThresholdedSNR`. For inactive references, relative
    to the mixture: the quieter the estimate the better, down to `limit` dB below the mixture.

    Args:
        limit: Ratio of a perfect estimate, dB.
        activity: Level below the mixture down to which a reference is active, dB.
        inactive: Treatment of the estimates of inactive sources: "silenced" or "ignored".
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
        """Scale estimates and references to the level at which the mixture has unit energy."""
        level = (energy(prediction.mixture) + 1e-9).sqrt()[:, None, None, None]
        return prediction.estimates / level, references / level

    def active(self, references: Tensor) -> Tensor:
        """True for active references as scaled by `views`; `(batch, sources)`."""
        return energy(references) >= self.faintest

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Negative ratio for signals `(batch, sources, channels, samples)`: `(batch, sources)`."""
        active = self.active(references)
        measure = torch.where(active, energy(references), 1.0)
        noise = energy(estimates - references) + self.share * measure
        loss = 10 * torch.log10(noise / measure)
        return loss if self.inactive == "silenced" else loss.masked_fill(~active, 0.0)


class ReleasedZeroReferenceSNR(PermutationInvariant):
    """PermInvariantSNRwithZeroRefs of the released SuDoRM-RF code.

    The sum over the active sources in their best order, multiplied by their number instead of divided:
    examples with many sources count more. Prefer `PermutationInvariant(ZeroReferenceSNR())`.

    Args:
        limit: Ratio of a perfect estimate, dB.
        activity: Level below the mixture down to which a reference is active, dB.
    """

    def __init__(self, limit: float = 30.0, activity: float = 40.0) -> None:
        ratio = ZeroReferenceSNR(limit, activity, inactive="ignored")
        super().__init__(ratio)
        self.ratio = ratio

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Sum over the active sources times their number, for each item, `(batch,)`."""
        mean = super().forward(prediction, references)
        active = self.ratio.active(self.ratio.views(prediction, references)[1]).sum(dim=1)
        return mean * references.shape[1] * active
