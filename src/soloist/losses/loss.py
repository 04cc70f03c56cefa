"""Contracts of losses: predictions and references in, one value for each item out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from soloist.errors import UsageError

Coefficients = Tensor | list[Tensor]
"""Coefficients of a transform, `(batch, ..., channels, frequency, frames)`, or a list of blocks."""


class Prediction:
    """Prediction of a separator for a mixture, in all forms that the separator has.

    Waveforms are synthesised on first use, so that a loss on spectrograms costs no inverse transform.

    Args:
        mixture: Audio `(batch, channels, samples)`.
        synthesize: Function that returns the estimates `(batch, sources, channels, samples)`.
        analyze: Transform of the separator, from audio `(batch, channels, samples)` to coefficients; None if
            the separator has none.
        coefficients: Coefficients of the estimates, `(batch, sources, channels, frequency, frames)`, or
            blocks of them.
        masks: Real masks of the mixture's coefficients, with the shape of `coefficients`.
        embeddings: Vector for each of the mixture's coefficients, `(batch, channels, frequency, frames,
            dimensions)`, or blocks of them.
        latent: Mean and standard deviation of a variational bottleneck, each `(batch, ...)`.
    """

    def __init__(
        self,
        mixture: Tensor,
        synthesize: Callable[[], Tensor],
        *,
        analyze: Callable[[Tensor], Coefficients] | None = None,
        coefficients: Coefficients | None = None,
        masks: Coefficients | None = None,
        embeddings: Coefficients | None = None,
        latent: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.mixture = mixture
        self.analyze = analyze
        self.coefficients = coefficients
        self.masks = masks
        self.embeddings = embeddings
        self.latent = latent
        self._synthesize = synthesize

    @cached_property
    def estimates(self) -> Tensor:
        """Estimates `(batch, sources, channels, samples)`, in the mixture's precision."""
        return self._synthesize().to(self.mixture.dtype)


class Loss(nn.Module):
    """Loss of a prediction, one value for each item of the batch."""

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Loss of each item.

        Args:
            prediction: Prediction of the separator.
            references: True sources `(batch, sources, channels, samples)`.

        Returns:
            `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement forward")


class SourceLoss(Loss):
    """Loss between one estimate and one reference, for use in any order of the sources.

    A subclass implements `compare`, and `views` for other representations than waveforms; or `comparison`,
    if the loss depends on the mixture.
    """

    def views(self, prediction: Prediction, references: Tensor) -> tuple[Tensor, Tensor]:
        """Representations of estimates and references for `compare`, both `(batch, sources, ...)`."""
        return prediction.estimates, references

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Compare each estimate with the reference in its place.

        Args:
            estimates: `(batch, sources, ...)`.
            references: `(batch, sources, ...)`.

        Returns:
            `(batch, sources)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement compare")

    def comparison(self, prediction: Prediction) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the comparison for the prediction's mixture: `compare`, unless overridden."""
        return self.compare

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Mean over the sources for each item, `(batch,)`."""
        check_shapes(prediction, references)
        return self.comparison(prediction)(*self.views(prediction, references)).mean(dim=1)


def check_shapes(prediction: Prediction, references: Tensor) -> None:
    """Check that references fit the prediction's mixture.

    Raises:
        UsageError: The shapes differ.
    """
    batch, channels, samples = prediction.mixture.shape
    if references.ndim != 4 or (references.shape[0], *references.shape[2:]) != (batch, channels, samples):
        raise UsageError(
            f"references must be (batch {batch}, sources, channels {channels}, samples {samples}), "
            f"not {tuple(references.shape)}"
        )


def missing(what: str, loss: Loss) -> UsageError:
    """Error for a loss that needs a form of prediction that the separator lacks."""
    return UsageError(f"{type(loss).__name__} needs {what}, and this separator has none")


def full_precision(like: Tensor) -> torch.autocast:
    """Context without autocast, in which matrix products keep the precision of their factors."""
    return torch.autocast(like.device.type, enabled=False)


def energy(signals: Tensor) -> Tensor:
    """Sum of squares over channels and samples of `(..., channels, samples)`."""
    return torch.sum(signals.square(), dim=(-2, -1))
