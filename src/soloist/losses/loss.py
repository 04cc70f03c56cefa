"""What every loss sees, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from soloist.errors import UsageError

Coefficients = Tensor | list[Tensor]
"""Of a transform, `(batch, ..., channels, frequency, frames)`, or a list of blocks of other shapes."""


class Prediction:
    """What a separator says about a mixture, in as many forms as it has.

    The waveforms are synthesised when a loss first asks for them, so that a loss on spectrograms does not pay
    for the way back.

    Args:
        mixture: Audio `(batch, channels, samples)`.
        synthesize: Gives the estimates `(batch, sources, channels, samples)`.
        analyze: The separator's own transform, from audio `(batch, channels, samples)` to coefficients; None
            where it has none.
        coefficients: Estimated ones `(batch, sources, channels, frequency, frames)`, or blocks of them.
        masks: Real numbers that the mixture's coefficients were multiplied with, of the same shape.
        embeddings: A vector for each of the mixture's coefficients, `(batch, channels, frequency, frames,
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
    """Says how far a prediction is from the references, one value for each item of the batch."""

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The loss of each item.

        Args:
            prediction: What the separator says.
            references: The true sources `(batch, sources, channels, samples)`.

        Returns:
            `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement forward")


class SourceLoss(Loss):
    """A loss that compares each estimate with one reference, so that it can be tried in any order.

    A subclass implements `compare`, and `views` where it compares something else than waveforms; or
    `comparison`, where the mixture matters.
    """

    def views(self, prediction: Prediction, references: Tensor) -> tuple[Tensor, Tensor]:
        """What is compared of the estimates and of the references, both `(batch, sources, ...)`."""
        return prediction.estimates, references

    def compare(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Compare one by one.

        Args:
            estimates: `(batch, sources, ...)`.
            references: Of the same shape.

        Returns:
            `(batch, sources)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement compare")

    def comparison(self, prediction: Prediction) -> Callable[[Tensor, Tensor], Tensor]:
        """What compares views of a mixture's estimates: `compare`, or something that knows the mixture."""
        return self.compare

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The mean over the sources, each compared with the reference in its place; `(batch,)`."""
        check_shapes(prediction, references)
        return self.comparison(prediction)(*self.views(prediction, references)).mean(dim=1)


def check_shapes(prediction: Prediction, references: Tensor) -> None:
    """Refuse references that are not those of the prediction's mixture.

    Raises:
        UsageError: The shapes do not fit.
    """
    batch, channels, samples = prediction.mixture.shape
    if references.ndim != 4 or (references.shape[0], *references.shape[2:]) != (batch, channels, samples):
        raise UsageError(
            f"references must be (batch {batch}, sources, channels {channels}, samples {samples}), "
            f"not {tuple(references.shape)}"
        )


def missing(what: str, loss: Loss) -> UsageError:
    """The error of a loss that needs what the separator does not give."""
    return UsageError(f"{type(loss).__name__} needs {what}, and this separator has none")


def full_precision(like: Tensor) -> torch.autocast:
    """Within it products of matrices keep their precision, also where networks are run in less."""
    return torch.autocast(like.device.type, enabled=False)


def energy(signals: Tensor) -> Tensor:
    """Sum of squares over channels and samples of `(..., channels, samples)`."""
    return torch.sum(signals.square(), dim=(-2, -1))
