"""Losses that do not care in which order the sources come.

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
    """The loss in the order of the estimates that makes it least, for each item of the batch.

    All pairs are compared once; the best order is then found among all orders of these. Of equally good
    orders the first is taken.

    Args:
        loss: Compares one estimate with one reference.
        spare: Whether there may be more estimates than references; those that fit least count nothing.
    """

    def __init__(self, loss: SourceLoss, spare: bool = False) -> None:
        super().__init__()
        self.loss = loss
        self.spare = spare

    def forward(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The least mean over the references; `(batch,)`."""
        check_shapes(prediction, references)
        pairs = self.pairs(prediction, references)
        return torch.take_along_dim(pairs, self.order(pairs)[:, :, None], dim=2)[..., 0].mean(dim=1)

    def pairs(self, prediction: Prediction, references: Tensor) -> Tensor:
        """The loss of each reference with each estimate, `(batch, references, estimates)`.

        Raises:
            UsageError: The estimates are fewer than the references, or more and none may be left over.
        """
        estimates, targets = self.loss.views(prediction, references)
        count, available = targets.shape[1], estimates.shape[1]
        if available < count or (available > count and not self.spare):
            raise UsageError(f"{available} estimates cannot be matched with {count} references")
        compare = self.loss.comparison(prediction)
        rows = [compare(estimates, targets[:, [index]].expand_as(estimates)) for index in range(count)]
        return torch.stack(rows, dim=1)

    def order(self, pairs: Tensor) -> Tensor:
        """For each reference the index of its estimate, `(batch, references)`, from the loss of all pairs."""
        missing = pairs.shape[2] - pairs.shape[1]
        # What is left over is as if matched with references that nothing fits better or worse.
        scores = -torch.nn.functional.pad(pairs.detach(), (0, 0, 0, missing))
        return best_order(scores)[:, : pairs.shape[1]]
