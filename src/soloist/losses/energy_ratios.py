"""Energy ratios as losses: the negative of the metrics of the same names, in dB.

The ratios differ in the target of the distortion [1] and in their stabilisation: published code adds a small
constant in different places, which decides the values of silent and perfect estimates.

[1] J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019.
[2] S. Wisdom, E. Tzinis, H. Erdogan, R. J. Weiss, K. Wilson and J. R. Hershey, "Unsupervised sound separation
    using mixture invariant training", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from soloist.losses.loss import Prediction, SourceLoss

Channels = Literal["together", "scaled", "apart"]
"""Channels as one long vector; with separate projections and summed energies; or with separate ratios,
averaged in dB."""

Stabilization = Literal["energies", "noise", "ratio"]
"""Place of the small constant: `(signal + eps) / (noise + eps)`, `signal / (noise + eps)`, or
`signal / (noise + eps) + eps`. A silent estimate then has 0 dB or less, minus infinity, or -80 dB."""


class EnergyRatio(SourceLoss):
    """Base of the ratios. A subclass computes the two energies.

    Args:
        zero_mean: Remove the mean of each channel first.
        limit: Ratio in dB above which the loss is constant. If None, there is no limit.
        eps: Small constant, for finite values of silent and perfect estimates.
        stabilization: Place of `eps`; see `Stabilization`.
        channels: Treatment of channels; see `Channels`.
    """

    def __init__(
        self,
        zero_mean: bool,
        limit: float | None = None,
        eps: float = 1e-8,
        stabilization: Stabilization = "energies",
        channels: Channels = "together",
    ) -> None:
        super().__init__()
        self.zero_mean = zero_mean
        self.limit = limit
        self.eps = eps
        self.stabilization: Stabilization = stabilization
        self.channels: Channels = channels

    def energies(self, estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Energies `(...)` of signal and of noise in vectors `(..., samples)`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement energies")

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Negative ratio for signals `(batch, sources, channels, samples)`: `(batch, sources)`."""
        if self.zero_mean:
            estimates = estimates - estimates.mean(dim=-1, keepdim=True)
            references = references - references.mean(dim=-1, keepdim=True)
        if self.channels == "together":
            estimates, references = (
                rearrange(signals, "b s c t -> b s 1 (c t)") for signals in (estimates, references)
            )
        signal, noise = self.energies(estimates, references)
        if self.channels == "scaled":
            signal, noise = signal.sum(dim=-1, keepdim=True), noise.sum(dim=-1, keepdim=True)
        loss = -10 * torch.log10(self._ratio(signal, noise)).mean(dim=-1)
        return loss if self.limit is None else loss.clamp(min=-self.limit)

    def _ratio(self, signal: Tensor, noise: Tensor) -> Tensor:
        if self.stabilization == "energies":
            return (signal + self.eps) / (noise + self.eps)
        ratio = signal / (noise + self.eps)
        return ratio if self.stabilization == "noise" else ratio + self.eps

    def _project(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Project the estimates onto the references, both `(..., samples)`."""
        scale = inner(estimates, references) / (inner(references, references) + self.eps)
        return scale[..., None] * references


class SISDR(EnergyRatio):
    """Negative scale-invariant signal-to-distortion ratio [1], in dB.

    A silent reference asks for a silent estimate.

    Args:
        zero_mean: Remove the mean of each channel first.
        limit: Ratio in dB above which the loss is constant. If None, there is no limit.
        eps: Small constant, for finite values of silent and perfect estimates.
        stabilization: Place of `eps`; see `Stabilization`. "correlation": added to the squared correlation of
            estimate and reference and to its complement, which bounds the ratio by `10 log10(1 / eps)`; less
            exact than the others above 60 dB in single precision.
        channels: "together": as one long vector; "scaled": separate projections, summed energies; "apart":
            separate ratios, averaged in dB.
    """

    def __init__(
        self,
        zero_mean: bool = True,
        limit: float | None = None,
        eps: float = 1e-8,
        stabilization: Stabilization | Literal["correlation"] = "energies",
        channels: Channels = "together",
    ) -> None:
        self.of_correlation = stabilization == "correlation"
        where: Stabilization = "energies" if stabilization == "correlation" else stabilization
        super().__init__(zero_mean, limit, eps, where, channels)

    def energies(self, estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of the scaled reference and of the difference, or shares of the estimate's energy."""
        if self.of_correlation:
            norms = inner(estimates, estimates) * inner(references, references)
            explained = inner(estimates, references).square() / (norms + self.eps)
            return explained, 1 - explained
        targets = self._project(estimates, references)
        distortion = estimates - targets
        return inner(targets, targets), inner(distortion, distortion)


class SDSDR(EnergyRatio):
    """Negative scale-dependent signal-to-distortion ratio [1], in dB.

    Energy of the scaled reference over that of the difference from the unscaled one, so that a wrong level
    costs. Arguments are those of `EnergyRatio`.
    """

    def __init__(
        self,
        zero_mean: bool = True,
        limit: float | None = None,
        eps: float = 1e-8,
        stabilization: Stabilization = "energies",
        channels: Channels = "together",
    ) -> None:
        super().__init__(zero_mean, limit, eps, stabilization, channels)

    def energies(self, estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of the scaled reference and of the difference from the unscaled one."""
        targets = self._project(estimates, references)
        distortion = estimates - references
        return inner(targets, targets), inner(distortion, distortion)


class SNR(EnergyRatio):
    """Negative signal-to-noise ratio, in dB: the reference's energy over that of the difference.

    A silent reference asks for a silent estimate. Arguments are those of `EnergyRatio`.
    """

    def __init__(
        self,
        zero_mean: bool = False,
        limit: float | None = None,
        eps: float = 1e-8,
        stabilization: Stabilization = "energies",
        channels: Channels = "together",
    ) -> None:
        super().__init__(zero_mean, limit, eps, stabilization, channels)

    def energies(self, estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of the reference and of the difference."""
        distortion = estimates - references
        return inner(references, references), inner(distortion, distortion)


class ThresholdedSNR(EnergyRatio):
    """Negative signal-to-noise ratio with a soft limit, in dB [2].

    A share of the reference's energy is added to that of the difference, so that the gradient fades as an
    estimate improves. A silent reference adds nothing, and asks for a silent estimate.

    Args:
        limit: Ratio of a perfect estimate, dB.
        eps: Added to both energies, for finite values of silent estimates.
    """

    def __init__(self, limit: float = 30.0, eps: float = 1e-8) -> None:
        super().__init__(zero_mean=False, eps=eps)
        self.share = 10 ** (-limit / 10)

    def energies(self, estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of the reference, and of the difference plus a share of the reference's."""
        signal, distortion = inner(references, references), estimates - references
        return signal, inner(distortion, distortion) + self.share * signal


class WeightedSDR(SourceLoss):
    """One minus the cosine similarity of estimate and reference, and of their residuals, weighted by energy.

    The residual is the mixture minus the signal. The loss lies between 0 for perfect estimates and 2. If the
    reference is silent, only the residuals count. Channels are compared separately.

    H.-S. Choi, J.-H. Kim, J. Huh, A. Kim, J.-W. Ha and K. Lee, "Phase-aware speech enhancement with deep
    complex U-Net", ICLR 2019.

    Args:
        eps: Added to energies, for finite gradients at silence.
    """

    def __init__(self, eps: float = 1e-10) -> None:
        super().__init__()
        self.eps = eps

    def comparison(self, prediction: Prediction) -> Callable[[Tensor, Tensor], Tensor]:
        """Comparison of estimates and references `(batch, sources, channels, samples)` of one mixture."""
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
        """Cosine similarity `(...)` of signals `(..., samples)`."""
        energies = [signal.square().sum(dim=-1) + self.eps for signal in (first, second)]
        return (first * second).sum(dim=-1) * torch.rsqrt(energies[0]) * torch.rsqrt(energies[1])


def inner(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of vectors `(..., samples)`; `(...)`."""
    return torch.sum(first * second, dim=-1)
