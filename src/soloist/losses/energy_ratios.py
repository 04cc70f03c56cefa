"""Energy ratios as losses: the negative of what the metrics of the same names measure, in dB.

They differ in what the distortion is measured against [1], and in what keeps them finite: published code adds
its small constant in different places, which decides what silence and perfection are worth.

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
"""Channels are one long vector; or each is projected by itself, and their energies add up; or each has a
ratio of its own, of which the mean in dB is taken."""

Stabilization = Literal["energies", "noise", "ratio"]
"""Where the small constant goes: `(signal + eps) / (noise + eps)`, `signal / (noise + eps)`, or
`signal / (noise + eps) + eps`. A silent estimate is then worth 0 dB or less, minus infinity, or -80 dB."""


class EnergyRatio(SourceLoss):
    """What the ratios share. A subclass says which energies are compared.

    Args:
        zero_mean: Remove the mean of each channel first.
        limit: What is better than so many dB counts no more: it does not pull at the weights. None for no
            limit.
        eps: What keeps silence and perfection finite.
        stabilization: Where `eps` is added.
        channels: How channels count.
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
        """Energies of signal and noise of vectors `(..., samples)`; twice `(...)`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement energies")

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """The ratio of each of `(batch, sources, channels, samples)`, negative; `(batch, sources)`."""
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
        """The multiples of the references that are nearest to the estimates."""
        scale = inner(estimates, references) / (inner(references, references) + self.eps)
        return scale[..., None] * references


class SISDR(EnergyRatio):
    """Negative scale-invariant signal-to-distortion ratio [1], in dB.

    A silent reference asks for a silent estimate.

    Args:
        zero_mean: Remove the mean of each channel first.
        limit: What is better than so many dB counts no more: it does not pull at the weights. None for no
            limit.
        eps: What keeps silence and perfection finite.
        stabilization: Where `eps` is added. "correlation": to the squared correlation of estimate and
            reference, and to what it lacks of one, so that nothing is beyond `10 log10(1 / eps)`; less exact
            than the others above 60 dB in single precision.
        channels: How channels count: "together" as one long vector; "scaled": each is projected by itself,
            and their energies add up; "apart": each has a ratio of its own, and the mean in dB is taken.
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
        """Energies of the scaled reference and of the difference to it, or their shares in the estimate."""
        if self.of_correlation:
            norms = inner(estimates, estimates) * inner(references, references)
            explained = inner(estimates, references).square() / (norms + self.eps)
            return explained, 1 - explained
        targets = self._project(estimates, references)
        distortion = estimates - targets
        return inner(targets, targets), inner(distortion, distortion)


class SDSDR(EnergyRatio):
    """Negative scale-dependent signal-to-distortion ratio [1], in dB.

    The energy of the scaled reference, but the difference to the unscaled one, so that a wrong level costs.
    The arguments are those of `EnergyRatio`.
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
        """Energies of the scaled reference and of the difference to the unscaled one."""
        targets = self._project(estimates, references)
        distortion = estimates - references
        return inner(targets, targets), inner(distortion, distortion)


class SNR(EnergyRatio):
    """Negative signal-to-noise ratio, in dB: the reference's energy over that of the difference.

    A silent reference asks for a silent estimate. The arguments are those of `EnergyRatio`.
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
    """Negative signal-to-noise ratio that approaches a limit softly, in dB [2].

    A share of the reference's energy is added to that of the difference, so that the slope fades as an
    estimate becomes good. A silent reference has no such share: it asks for a silent estimate.

    Args:
        limit: What a perfect estimate is worth, in dB.
        eps: Added to both energies, which keeps silence finite.
    """

    def __init__(self, limit: float = 30.0, eps: float = 1e-8) -> None:
        super().__init__(zero_mean=False, eps=eps)
        self.share = 10 ** (-limit / 10)

    def energies(self, estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of the reference, and of the difference with a share of the reference's."""
        signal, distortion = inner(references, references), estimates - references
        return signal, inner(distortion, distortion) + self.share * signal


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


def inner(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of vectors `(..., samples)`; `(...)`."""
    return torch.sum(first * second, dim=-1)
