"""Callbacks that watch over a training: numbers that are not finite, files that cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from soloist.errors import TrainingError
from soloist.training.data.batches import ExampleBatch, Skip, SkipCounts, add_counts, count_skips

_log = logging.getLogger(__name__)


class FiniteGuard(Callback):
    """Stops a training before a step whose loss or gradients are not finite, so that the weights stay good.

    Both are looked at once before each step of the optimizer, because a GPU has to wait for every look. Where
    half precision scales the loss, the gradients are not looked at: its scaler leaves out such steps itself.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._names: list[str] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ExampleBatch, batch_idx: int
    ) -> None:
        """Remember what the batch is made of."""
        self._names += batch.names

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Remember the loss of the batch."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """All gradients of a step are there.

        Raises:
            TrainingError: One of them, or the loss, is not finite.
        """
        # Processes must agree before any of them stops, or the others wait for it for ever.
        loss = trainer.strategy.reduce(torch.stack(self._losses).sum(), reduce_op="sum")
        names, self._losses, self._names = self._names, [], []
        figures = {"loss": loss}
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            gradients = [part.grad for part in pl_module.parameters() if part.grad is not None]
            figures["gradients"] = torch.nn.utils.get_total_norm(gradients)
        finite = torch.stack([figure.float().isfinite() for figure in figures.values()]).tolist()
        if not all(finite):
            bad = next(name for name, good in zip(figures, finite, strict=True) if not good)
            raise TrainingError(_explain(bad, trainer.global_step, _from_all(names)))


class UnreadableFiles(Callback):
    """Counts the examples that could not be read, and names each file once in the log.

    Attributes:
        files: For each file how many examples it cost this process, and what is wrong with it.
    """

    def __init__(self) -> None:
        self.files: SkipCounts = {}

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ExampleBatch, batch_idx: int
    ) -> None:
        """Count those of a training batch."""
        self._add(batch.skipped)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ExampleBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count those of a validation batch."""
        self._add(batch.skipped)

    def state_dict(self) -> dict[str, Any]:
        """What all processes have met so far; all of them ask for it when a checkpoint is written."""
        together: SkipCounts = {}
        for files in _gather(self.files):
            add_counts(together, files)
        return {"files": together}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting: the first process has counted for all."""
        self.files = state_dict["files"] if is_first_process() else {}

    def _add(self, skipped: Sequence[Skip]) -> None:
        for skip in skipped:
            if skip.file not in self.files:
                _log.warning("skipped: %s", skip.reason)
            add_counts(self.files, count_skips([skip]))


def is_first_process() -> bool:
    """Whether this is the process that writes and speaks, among all that train together."""
    return getattr(rank_zero_only, "rank", None) in (None, 0)


def _explain(what: str, step: int, names: Sequence[str]) -> str:
    shown = "; ".join(names[:8]) + (f"; and {len(names) - 8} more" if len(names) > 8 else "")
    return (
        f"the {what} of step {step} {'is' if what == 'loss' else 'are'} not finite; "
        f"the step was made of {shown}. A lower learning rate or trainer.gradient_clip_val may help; the "
        "last checkpoint is intact"
    )


def _from_all(names: list[str]) -> list[str]:
    return [name for part in _gather(names) for name in part]


def _gather(thing: Any) -> list[Any]:
    """What each of the processes has."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [thing]
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, thing)
    return gathered
