"""Learning curves: mean loss of an epoch, learning rates, gradient norm."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import grad_norm
from torch import Tensor
from torch.optim import Optimizer

from soloist.training.data.batches import ExampleBatch
from soloist.training.watch.loggers import log_interval
from soloist.training.watch.metrics_file import EPOCH_LOSS

RATE = "train/rate"
GRADIENT_NORM = "train/gradient_norm"


class Curves(Callback):
    """Logs the mean loss of each epoch, the learning rates, and the norm of all gradients before clipping.

    The mean is that of the whole epoch, also after an interruption.
    """

    def __init__(self) -> None:
        self._epoch = -1
        self._sum = torch.zeros(())
        self._batches = 0

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Log the gradient norm before clipping."""
        # The norm of every step would cost a pass over all gradients; only every n-th is logged.
        if (trainer.global_step + 1) % log_interval(trainer) == 0:
            norms = grad_norm(pl_module, norm_type=2)
            pl_module.log(GRADIENT_NORM, norms["grad_2.0_norm_total"])

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: ExampleBatch,
        batch_idx: int,
    ) -> None:
        """Add the loss of a step, and log the rates."""
        if self._epoch != trainer.current_epoch:
            self._epoch, self._batches = trainer.current_epoch, 0
            self._sum = torch.zeros((), device=pl_module.device)
        # Lightning divides what it gives to callbacks by the batches that a step accumulates.
        self._sum = self._sum.to(pl_module.device) + outputs["loss"] * trainer.accumulate_grad_batches
        self._batches += 1
        pl_module.log_dict(_rates(trainer), batch_size=len(batch.mixture))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the mean loss of the epoch."""
        if self._batches:
            pl_module.log(EPOCH_LOSS, self._sum / self._batches, sync_dist=True)

    def state_dict(self) -> dict[str, int | Tensor]:
        """Sum of the losses of the epoch so far."""
        return {"epoch": self._epoch, "batches": self._batches, "sum": self._sum}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the sum."""
        self._epoch, self._batches = state_dict["epoch"], state_dict["batches"]
        self._sum = state_dict["sum"]


def _rates(trainer: L.Trainer) -> dict[str, float]:
    """Learning rate of each group of parameters, by index if there are several."""
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    names = [RATE] if len(rates) == 1 else [f"{RATE}/{place}" for place in range(len(rates))]
    return dict(zip(names, rates, strict=True))
