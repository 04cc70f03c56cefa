"""Losses composed of losses: weighted sums, sums of sources, and both domains.

[1] R. Sawata, S. Uhlich, S. Takahashi and Y. Mitsufuji, "All for one and one for all: Improving music
    separation by bridging networks", ICASSP 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.losses.loss import Loss, Prediction, SourceLoss, check_shapes, full_precision


class WeightedSum(Loss):
    """Weighted sum of losses.

    For example `DeepClustering` and a loss on masked spectrograms for chimera networks [2], or `KLDivergence`
    and a distance for variational networks.

    [2] Y. Luo, Z. Chen, J. R. Hershey, J. Le Roux and N. Mesgarani, "Deep clustering and conventional
        networks for music separation: Stronger together", ICASSP 2017.

    Args:
        losses: Terms of the sum.
        weights: Weight of each term. If None, all are 1.

    Raises:
        UsageError: The numbers of weights and losses differ, or there are no losses.
    """

    def __init__(self, losses: Sequence[Loss], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(losses) if weights is None else list(weights)
        if not losses or len(losses) != len(weights):
            raise UsageError(f"a sum needs a weight for each of its losses: {len(weights)} for {len(losses)}")
        self.losses = nn.ModuleList(losses)
        self.weights = weights

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Weighted sum for each item, `(batch,)`."""
        terms = (loss(prediction, references) for loss in self.losses)
        weighted = [weight * term for weight, term in zip(self.weights, terms, strict=True)]
        return torch.stack(weighted).sum(dim=0)


class MixtureConsistency(Loss):
    """Loss of the sum of the estimates, with the mixture as reference.

    With a loss on magnitudes, the sum of the estimates' magnitudes is compared with the mixture's.

    Args:
        loss: Loss of one estimate and one reference.
    """

    def __init__(self, loss: SourceLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Loss of the sum for each item, `(batch,)`."""
        check_shapes(prediction, references)
        estimates, mixture = self.loss.views(prediction, prediction.mixture[:, None])
        return self.loss.comparison(prediction)(estimates.sum(dim=1, keepdim=True), mixture)[:, 0]


class Combinations(Loss):
    """Mean loss over the sums of all proper subsets of the sources [1].

    Four sources have 14 subsets: four singles, six pairs and four triples. Leakage from one source into
    another counts in every subset without both. With a loss on magnitudes, magnitudes are summed.

    Args:
        loss: Loss of the sum of some estimates and the sum of their references.
    """

    def __init__(self, loss: SourceLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Mean over the subsets for each item, `(batch,)`."""
        return self.terms(prediction, references).mean(dim=1)

    def terms(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Loss of each subset, small subsets first, `(batch, subsets)`.

        Raises:
            UsageError: There is only one source.
        """
        check_shapes(prediction, references)
        estimates, targets = self.loss.views(prediction, references)
        members = proper_subsets(targets.shape[1]).to(targets)
        with full_precision(targets):
            estimates, targets = (
                torch.einsum("n s, b s ... -> b n ...", members, views) for views in (estimates, targets)
            )
        return self.loss.comparison(prediction)(estimates, targets)


class MultiDomain(Loss):
    """`Combinations` of a loss on spectrograms plus weighted `Combinations` of a loss on waveforms [1].

    Args:
        spectrogram: Loss on spectrograms.
        waveform: Loss on waveforms.
        coefficient: Weight of the loss on waveforms.
        as_released: Follow the released code of xumx-sliCQ: no combinations of spectrograms, and no gradient
            of the loss on waveforms.
    """

    def __init__(
        self,
        spectrogram: SourceLoss,
        waveform: SourceLoss,
        coefficient: float = 0.1,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        self.spectrogram: Loss = spectrogram if as_released else Combinations(spectrogram)
        self.waveform = Combinations(waveform)
        self.coefficient = coefficient
        self.as_released = as_released

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Weighted sum of both for each item, `(batch,)`."""
        waveform = self.waveform(prediction, references)
        if self.as_released:
            waveform = waveform.detach()
        total: Tensor = self.spectrogram(prediction, references) + self.coefficient * waveform
        return total


def proper_subsets(count: int) -> Tensor:
    """Membership matrix `(subsets, count)` of all proper, non-empty subsets, small ones first.

    Raises:
        UsageError: There is only one member, and so no such subset.
    """
    if count < 2:
        raise UsageError("combinations need at least two sources")
    subsets = [subset for size in range(1, count) for subset in combinations(range(count), size)]
    members = torch.zeros(len(subsets), count)
    for row, subset in zip(members, subsets, strict=True):
        row[list(subset)] = 1
    return members
