"""Losses on masks for the magnitudes of the mixture."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.losses.coefficients import analysis, analyze_sources, as_blocks, as_vectors
from soloist.losses.distances import Distance, DistanceLoss
from soloist.losses.loss import Loss, Prediction, check_shapes, missing

Rest = Literal["signal", "magnitudes"]
"""Rest of a mixture: the mixture minus the reference, or the difference of their magnitudes."""


class MaskLoss(DistanceLoss):
    """Mean distance of each mask from the ideal ratio mask: the reference's magnitudes over the mixture's.

    A silent reference asks for a mask of zeros.

    Args:
        distance: Mean absolute difference, mean squared difference, or its root.
        ceiling: Largest value of the ideal mask. If None, the ideal mask is unbounded where sources cancel
            each other.
        floor: Least magnitude of the mixture; smaller ones count as `floor`.
    """

    def __init__(self, distance: Distance = "l1", ceiling: float | None = 1.0, floor: float = 1e-6) -> None:
        super().__init__(distance)
        self.ceiling = ceiling
        self.floor = floor

    def views(self, prediction: Prediction, references: Tensor) -> tuple[Tensor, Tensor]:
        """Return estimated and ideal masks, both `(batch, sources, numbers)`."""
        masks = _masks(prediction, self)
        mixture, targets = _magnitudes(prediction, self, prediction.mixture[:, None], references)
        ideal = targets / mixture.clamp(min=self.floor)
        ideal = ideal if self.ceiling is None else ideal.clamp(max=self.ceiling)
        return masks, ideal


class ComponentLoss(Loss):
    """Components loss: separate terms for the source, for the level and for the colour of the rest.

        (1 - alpha - beta) |M Y - Y|^2  +  alpha |M R|^2  +  beta |M R / |M R| - R / |R||^2

    with the mask `M`, the magnitudes `Y` of the reference and `R` of the rest of the mixture. Each term is
    divided by the number of points. A silent source or rest contributes nothing to its terms.

    Z. Xu, S. Elshamy, Z. Zhao and T. Fingscheidt, "Components loss for neural networks in mask-based speech
    enhancement", EURASIP Journal on Audio, Speech, and Music Processing, 2021.

    Args:
        alpha: Weight of the level of the masked rest.
        beta: Weight of the colour of the masked rest.
        rest: Rest of the mixture: "signal": mixture minus reference; or "magnitudes": difference of the two
            magnitudes.
        eps: Least norm; smaller ones count as `eps`.

    Raises:
        UsageError: A weight is negative, or the weights exceed 1 together.
    """

    def __init__(self, alpha: float, beta: float, rest: Rest = "signal", eps: float = 1e-8) -> None:
        super().__init__()
        if min(alpha, beta) < 0 or alpha + beta > 1:
            raise UsageError(f"alpha {alpha} and beta {beta} must not be negative, and at most 1 in all")
        self.alpha = alpha
        self.beta = beta
        self.rest: Rest = rest
        self.eps = eps

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Mean over the sources for each item, `(batch,)`."""
        check_shapes(prediction, references)
        masks = _masks(prediction, self)
        mixture = prediction.mixture[:, None]
        if self.rest == "signal":
            targets, rest = _magnitudes(prediction, self, references, mixture - references)
        else:
            targets, whole = _magnitudes(prediction, self, references, mixture)
            rest = whole - targets
        kept, left = masks * targets - targets, masks * rest
        colour = self._unit(left) - self._unit(rest)
        kept, left, colour = (term.square().mean(dim=(1, 2)) for term in (kept, left, colour))
        return (1 - self.alpha - self.beta) * kept + self.alpha * left + self.beta * colour

    def _unit(self, vectors: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        return vectors / norm.clamp(min=self.eps)


def _masks(prediction: Prediction, loss: Loss) -> Tensor:
    """Masks of all blocks, `(batch, sources, numbers)`."""
    if prediction.masks is None:
        raise missing("masks", loss)
    return as_vectors(as_blocks(prediction.masks))


def _magnitudes(prediction: Prediction, loss: Loss, *sources: Tensor) -> list[Tensor]:
    """Analyse audio `(batch, sources, channels, samples)` to magnitudes `(batch, sources, numbers)`."""
    analyze = analysis(prediction, loss)
    return [as_vectors([block.abs() for block in analyze_sources(analyze, audio)]) for audio in sources]
