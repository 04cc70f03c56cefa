"""Soft masks from the magnitudes of sources: the Wiener filter of each channel by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from soloist.errors import UsageError

Extension = Literal["average", "zeros"]
"""Masks of bins without an estimate: the mean of the other bins' masks at the same time, or zeros."""


@dataclass(frozen=True)
class RatioMask:
    """Estimates of sources from magnitudes and the mixture, which is shared in proportion to powers.

    The mask of a source is its magnitude to the power of `exponent`, divided by the sum over all sources:
    masks sum to one, and are equal where all sources are silent.

    Attributes:
        exponent: Exponent of the magnitudes; 2 makes the Wiener filter of independent sources.
        eps: Sum of the powers below which masks become equal.
        num_bins: Bins, from 0 Hz up, with estimated magnitudes; None for all.
        extension: Masks of the bins above.

    Raises:
        UsageError: A number is out of range, or the extension is unknown.
    """

    exponent: float = 2.0
    eps: float = 1e-10
    num_bins: int | None = None
    extension: Extension = "average"

    def __post_init__(self) -> None:
        if not (self.exponent > 0 and self.eps > 0):
            raise UsageError(f"exponent {self.exponent:g} and eps {self.eps:g} must be positive")
        if self.num_bins is not None and self.num_bins < 1:
            raise UsageError(f"num_bins {self.num_bins} must be at least 1, or none")
        if self.extension not in get_args(Extension):
            raise UsageError(f"extension {self.extension!r} is none of {', '.join(get_args(Extension))}")

    def __call__(self, mixture: Tensor, magnitudes: Tensor) -> Tensor:
        """Estimate sources on a spectrogram.

        Args:
            mixture: Complex `(batch, channels, frequency, frames)`.
            magnitudes: Magnitudes of the sources, `(batch, sources, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`.
        """
        powers = magnitudes[..., : self.num_bins, :] ** self.exponent
        total = powers.sum(dim=1, keepdim=True) + self.eps
        masks = (powers + self.eps / magnitudes.shape[1]) / total
        rest = masks.mean(dim=-2, keepdim=True) if self.extension == "average" else 0.0
        estimates, bins = mixture[:, None].repeat(1, masks.shape[1], 1, 1, 1), masks.shape[-2]
        estimates[..., :bins, :] *= masks
        estimates[..., bins:, :] *= rest
        return estimates
