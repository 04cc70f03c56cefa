"""Losses made of losses: sums, sums of sources, and both domains at once.

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
    """A weighted sum of losses.

    Chimera networks [2] take one of `DeepClustering` and of a loss on what their masks leave; a variational
    network takes `KLDivergence` and a distance.

    [2] Y. Luo, Z. Chen, J. R. Hershey, J. Le Roux and N. Mesgarani, "Deep clustering and conventional
        networks for music separation: Stronger together", ICASSP 2017.

    Args:
        losses: What is added up.
        weights: What each is multiplied with; None for one each.

    Raises:
        UsageError: There are not as many weights as losses.
    """

    def __init__(self, losses: Sequence[Loss], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(losses) if weights is None else list(weights)
        if not losses or len(losses) != len(weights):
            raise UsageError(f"a sum needs a weight for each of its losses: {len(weights)} for {len(losses)}")
        self.losses = nn.ModuleList(losses)
        self.weights = weights

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The sum of each item; `(batch,)`."""
        terms = (loss(prediction, references) for loss in self.losses)
        weighted = [weight * term for weight, term in zip(self.weights, terms, strict=True)]
        return torch.stack(weighted).sum(dim=0)


class MixtureConsistency(Loss):
    """How far the sum of the estimates is from the mixture.

    On magnitudes it is their sum that is compared with the mixture's magnitudes.

    Args:
        loss: What compares them.
    """

    def __init__(self, loss: SourceLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The loss of the sum; `(batch,)`."""
        check_shapes(prediction, references)
        estimates, mixture = self.loss.views(prediction, prediction.mixture[:, None])
        return self.loss.comparison(prediction)(estimates.sum(dim=1, keepdim=True), mixture)[:, 0]


class Combinations(Loss):
    """The mean loss over the sums of all proper subsets of the sources [1].

    Of four sources there are 14: each alone, six pairs, and four triples. What a source lacks and another
    has too much of thus counts in every subset that does not hold both. On magnitudes it is these that are
    added up.

    Args:
        loss: Compares the sum of some estimates with that of their references.
    """

    def __init__(self, loss: SourceLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The mean over the subsets; `(batch,)`."""
        return self.terms(prediction, references).mean(dim=1)

    def terms(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The loss of each subset, small ones first, `(batch, subsets)`.

        Raises:
            UsageError: There is but one source.
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
    """Combinations of spectrograms plus, with a coefficient, combinations of waveforms [1].

    Args:
        spectrogram: Compares spectrograms.
        waveform: Compares waveforms.
        coefficient: What the loss on waveforms is multiplied with.
        as_released: As the code of xumx-sliCQ does it: spectrograms are compared one by one, and the loss on
            waveforms has no slope, so that nothing is learned from it.
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
        """The weighted sum of both; `(batch,)`."""
        waveform = self.waveform(prediction, references)
        if self.as_released:
            waveform = waveform.detach()
        total: Tensor = self.spectrogram(prediction, references) + self.coefficient * waveform
        return total


def proper_subsets(count: int) -> Tensor:
    """Ones where a subset has a member, `(subsets, count)`: neither empty nor the whole, small ones first.

    Raises:
        UsageError: There is but one member, which leaves no such subset.
    """
    if count < 2:
        raise UsageError("combinations need at least two sources")
    subsets = [subset for size in range(1, count) for subset in combinations(range(count), size)]
    members = torch.zeros(len(subsets), count)
    for row, subset in zip(members, subsets, strict=True):
        row[list(subset)] = 1
    return members
