"""The loss of a variational bottleneck."""

from __future__ import annotations

from torch import Tensor

from soloist.losses.loss import Loss, Prediction, missing


class KLDivergence(Loss):
    """Kullback-Leibler divergence of a latent normal distribution from the standard one, in nats.

    It is used in a `WeightedSum` with a loss on what is constructed from it.

    D. P. Kingma and M. Welling, "Auto-encoding variational Bayes", ICLR 2014, appendix B.

    Args:
        per_dimension: Divide it by the number of latent dimensions.
    """

    def __init__(self, per_dimension: bool = False) -> None:
        super().__init__()
        self.per_dimension = per_dimension

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The divergence of each item, whatever the references; `(batch,)`."""
        if prediction.latent is None:
            raise missing("a latent distribution", self)
        mean, deviation = (part.flatten(1) for part in prediction.latent)
        variance = deviation.square()
        terms = 0.5 * (mean.square() + variance - variance.log() - 1)
        return terms.mean(dim=1) if self.per_dimension else terms.sum(dim=1)
