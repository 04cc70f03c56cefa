"""Distances of spectrograms: magnitudes, real and imaginary parts, or logarithms of magnitudes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.losses.coefficients import (
    analysis,
    analyze_sources,
    as_blocks,
    as_vectors,
    phase_sensitive_ratio,
)
from soloist.losses.distances import Distance, DistanceLoss
from soloist.losses.loss import Coefficients, Prediction

Representation = Literal["magnitude", "complex", "log"]
"""Magnitudes, real and imaginary parts apart, or natural logarithms of magnitudes."""

Weighting = Literal["coefficients", "blocks"]
"""Equal weight of all coefficients, or of all blocks of a transform with several blocks."""


class SpectrogramLoss(DistanceLoss):
    """Mean distance of the spectrograms of each estimate and its reference, over all channels and points.

    With the separator's own transform, the estimates' coefficients are the output of the network, without
    synthesis. A silent reference asks for a silent estimate.

    Args:
        distance: Mean absolute difference, mean squared difference, or its root.
        representation: Magnitudes, real and imaginary parts, or logarithms of magnitudes.
        transform: Transform of audio `(batch, channels, samples)`, such as an `STFT`. If None, that of the
            separator.
        weighting: For a transform with several blocks: mean over all coefficients, or mean of the means of
            the blocks.
        floor: Added to magnitudes before the logarithm.
        eps: Added below the root, for a finite gradient at no difference.

    Raises:
        UsageError: The representation or the distance is unknown.
    """

    def __init__(
        self,
        distance: Distance = "l1",
        representation: Representation = "magnitude",
        transform: nn.Module | None = None,
        weighting: Weighting = "coefficients",
        floor: float = 1e-5,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(distance, eps)
        if representation not in ("magnitude", "complex", "log"):
            raise UsageError(f"representation must be magnitude, complex or log, not {representation!r}")
        self.representation: Representation = representation
        self.transform = transform
        self.weighting: Weighting = weighting
        self.floor = floor

    def views(self, prediction: Prediction, references: Tensor) -> tuple[Tensor, Tensor]:
        """Represent estimates and references as numbers of all blocks, both `(batch, sources, numbers)`."""
        analyze, estimated = self._analysis(prediction)
        return self._flatten(estimated), self._flatten(analyze_sources(analyze, references))

    def _analysis(self, prediction: Prediction) -> tuple[Callable[[Tensor], Coefficients], list[Tensor]]:
        """Return the transform, and the blocks of the estimates `(batch, sources, channels, ...)`."""
        if self.transform is None:
            analyze, estimated = analysis(prediction, self), prediction.coefficients
        else:
            analyze, estimated = self.transform, None
        if estimated is None:
            estimated = analyze_sources(analyze, prediction.estimates)
        return analyze, as_blocks(estimated)

    def _flatten(self, blocks: list[Tensor]) -> Tensor:
        views = [self._represent(block) for block in blocks]
        if self.weighting == "blocks":
            sizes = [view[0, 0].numel() for view in views]
            power = 1.0 if self.distance == "l1" else 0.5
            mean = sum(sizes) / len(sizes)
            views = [view * (mean / size) ** power for view, size in zip(views, sizes, strict=True)]
        return as_vectors(views)

    @property
    def _represent(self) -> Callable[[Tensor], Tensor]:
        if self.representation == "complex":
            return torch.view_as_real
        if self.representation == "magnitude":
            return torch.abs
        return lambda block: torch.log(block.abs() + self.floor)


class PhaseSensitiveLoss(SpectrogramLoss):
    """Mean distance of each estimate's magnitudes from the part of its reference in phase with the mixture.

    The target is the magnitude, at most that of the mixture, that comes nearest to the reference with the
    phase of the mixture. With different phases, the full magnitude of the reference would add noise.

    H. Erdogan, J. R. Hershey, S. Watanabe and J. Le Roux, "Phase-sensitive and recognition-boosted speech
    separation using deep recurrent neural networks", ICASSP 2015.

    Args:
        distance: See `SpectrogramLoss`.
        transform: See `SpectrogramLoss`.
        weighting: See `SpectrogramLoss`.
        eps: See `SpectrogramLoss`.
    """

    def __init__(
        self,
        distance: Distance = "l1",
        transform: nn.Module | None = None,
        weighting: Weighting = "coefficients",
        eps: float = 1e-8,
    ) -> None:
        super().__init__(distance, "magnitude", transform, weighting, eps=eps)

    def views(self, prediction: Prediction, references: Tensor) -> tuple[Tensor, Tensor]:
        """Return magnitudes of estimates and targets, both `(batch, sources, numbers)`."""
        analyze, estimated = self._analysis(prediction)
        mixture = analyze_sources(analyze, prediction.mixture[:, None])
        targets = [
            phase_sensitive_ratio(whole, block) * whole.abs()
            for whole, block in zip(mixture, analyze_sources(analyze, references), strict=True)
        ]
        return self._flatten(estimated), self._flatten(targets)


class SpectrogramDivergence(SpectrogramLoss):
    """Mean generalised Kullback-Leibler divergence of each estimate's magnitudes from its reference's.

    `T ln(T / E) - T + E` with magnitudes `T` of the reference and `E` of the estimate: a wrong ratio costs in
    proportion to the magnitude of the reference.

    D. D. Lee and H. S. Seung, "Algorithms for non-negative matrix factorization", NIPS 2000.

    Args:
        transform: See `SpectrogramLoss`.
        weighting: See `SpectrogramLoss`.
        as_released: Follow nussl: without the last two terms, so that louder is always better.
        eps: Added to magnitudes before the logarithm.
    """

    def __init__(
        self,
        transform: nn.Module | None = None,
        weighting: Weighting = "coefficients",
        as_released: bool = False,
        eps: float = 1e-8,
    ) -> None:
        super().__init__("l1", "magnitude", transform, weighting, eps=eps)
        self.as_released = as_released

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Divergence of magnitudes `(batch, sources, numbers)`: `(batch, sources)`."""
        terms = references * torch.log((references + self.eps) / (estimates + self.eps))
        if not self.as_released:
            terms = terms + estimates - references
        return terms.mean(dim=-1)
