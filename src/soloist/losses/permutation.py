"""Losses that do not care in which order the sources come.

M. Kolbæk, D. Yu, Z.-H. Tan and J. Jensen, "Multi-talker speech separation with utterance-level permutation
invariant training of deep recurrent neural networks", IEEE/ACM TASLP 25(10), 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.losses.base import Loss, Prediction, SourceLoss, check_shapes
from soloist.metrics.permutation import best_order


class PermutationInvariant(Loss):
    """The loss in the order of the estimates that makes it least, for each item of the batch.

    All pairs are compared once; the best order is then found among all orders of these.

    Args:
        loss: Compares one estimate with one reference.
    """

    def __init__(self, loss: SourceLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The least mean over the sources; `(batch,)`."""
        check_shapes(prediction, references)
        pairs = self.pairs(prediction, references)
        order = best_order(-pairs.detach())
        return torch.take_along_dim(pairs, order[:, :, None], dim=2)[..., 0].mean(dim=1)

    def pairs(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The loss of each reference with each estimate, `(batch, references, estimates)`."""
        estimates, targets = self.loss.views(prediction, references)
        if estimates.shape != targets.shape:
            raise UsageError(
                f"{estimates.shape[1]} estimates cannot be matched with {targets.shape[1]} references"
            )
        count = targets.shape[1]
        rows = [
            self.loss.compare(estimates, targets[:, [index]].expand_as(estimates)) for index in range(count)
        ]
        return torch.stack(rows, dim=1)
