"""Permutation-invariant loss: the order of the estimates does not matter.

M. Kolbæk, D. Yu, Z.-H. Tan and J. Jensen, "Multi-talker speech separation with utterance-level permutation
invariant training of deep recurrent neural networks", IEEE/ACM TASLP 25(10), 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.losses.loss import Loss, Prediction, SourceLoss, check_shapes
from soloist.metrics import best_order


class PermutationInvariant(Loss):
    """Least loss over all orders of the estimates, for each item of the batch.

    All pairs of estimate and reference are compared once. Ties go to the first order.

    Args:
        loss: Loss of one estimate and one reference.
        spare: Allow more estimates than references; the worst-fitting estimates do not count.
    """

    def __init__(self, loss: SourceLoss, spare: bool = False) -> None:
        super().__init__()
        self.loss = loss
        self.spare = spare

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Least mean over the references for each item, `(batch,)`."""
        check_shapes(prediction, references)
        pairs = self.pairs(prediction, references)
        return torch.take_along_dim(pairs, self.order(pairs)[:, :, None], dim=2)[..., 0].mean(dim=1)

    def pairs(self, prediction: Prediction, references: Tensor) -> Tensor:
        """Loss of each reference with each estimate, `(batch, references, estimates)`.

        Raises:
            UsageError: There are fewer estimates than references, or more without `spare`.
        """
        estimates, targets = self.loss.views(prediction, references)
        count, available = targets.shape[1], estimates.shape[1]
        if available < count or (available > count and not self.spare):
            raise UsageError(f"{available} estimates cannot be matched with {count} references")
        compare = self.loss.comparison(prediction)
        rows = [compare(estimates, targets[:, [index]].expand_as(estimates)) for index in range(count)]
        return torch.stack(rows, dim=1)

    def order(self, pairs: Tensor) -> Tensor:
        """Index of the estimate of each reference, `(batch, references)`, from the loss of all pairs."""
        missing = pairs.shape[2] - pairs.shape[1]
        # Spare estimates match dummy references, which fit all estimates equally well.
        scores = -torch.nn.functional.pad(pairs.detach(), (0, 0, 0, missing))
        return best_order(scores)[:, : pairs.shape[1]]
