"""Callbacks that stop a training or count what it skipped: non-finite numbers, plateaus, unreadable files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from soloist.errors import TrainingError
from soloist.training.data.batches import ExampleBatch, Skip, SkipCounts, add_counts, count_skips
from soloist.training.loop.task import SeparationTask

_log = logging.getLogger(__name__)


class FiniteGuard(Callback):
    """Stops a training before a step with a non-finite loss or gradient, so that the weights stay intact.

    One check before each step of the optimizer covers both, because a GPU waits for every check. With a loss
    scaler (half precision) only the loss is checked: the scaler itself skips steps with bad gradients.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._names: list[str] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ExampleBatch, batch_idx: int
    ) -> None:
        """Remember the names of the batch's examples."""
        self._names += batch.names

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Remember the loss of the batch."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Check the loss and the gradients of a step.

        Raises:
            TrainingError: One of them is not finite.
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
    """Counts unreadable examples, and logs each file once.

    Attributes:
        files: Lost examples of this process and the error, by file.
    """

    def __init__(self) -> None:
        self.files: SkipCounts = {}

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ExampleBatch, batch_idx: int
    ) -> None:
        """Count skips of a training batch."""
        self._add(batch.skipped)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ExampleBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count skips of a validation batch."""
        self._add(batch.skipped)

    def state_dict(self) -> dict[str, Any]:
        """Counts of all processes; a collective call, as every process writes checkpoints."""
        together: SkipCounts = {}
        for files in _gather(self.files):
            add_counts(together, files)
        return {"files": together}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the counts, in the first process for all."""
        self.files = state_dict["files"] if is_first_process() else {}

    def _add(self, skipped: Sequence[Skip]) -> None:
        for skip in skipped:
            if skip.file not in self.files:
                _log.warning("skipped: %s", skip.reason)
            add_counts(self.files, count_skips([skip]))


class SilentStems(Callback):
    """Names in the log, once, the sources that are silent in all validation examples."""

    def __init__(self) -> None:
        self._heard: list[bool] = []
        self._done = False

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: ExampleBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the sources that sound in a batch."""
        if not (self._done or trainer.sanity_checking):
            heard = batch.references.ne(0).any(-1).any(-1).any(0).tolist()
            self._heard = [any(pair) for pair in zip(heard, self._heard or heard, strict=True)]

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the silent sources after the first validation."""
        if self._done or trainer.sanity_checking:
            return
        self._done = True
        everywhere = [heard for heard in _gather(self._heard) if heard]
        sources = cast(SeparationTask, pl_module).separator.sources
        silent = [name for name, *heard in zip(sources, *everywhere, strict=True) if not any(heard)]
        if everywhere and silent and is_first_process():
            _log.warning("silent in all validation examples: %s", ", ".join(silent))


class Patience(Callback):
    """Stops a training after a number of plateaus, also when it is resumed later.

    A plateau ends, and the next one begins, after some validations without improvement; an improvement
    restarts the present plateau. A schedule that waits for plateaus as well can lower its rate in
    between.

    Args:
        monitor: Figure to watch.
        mode: Direction in which the figure gets better.
        patience: Validations of a plateau.
        plateaus: Plateaus after which training stops.
        least: Least improvement over the best value so far that counts.
    """

    def __init__(
        self, monitor: str, mode: Literal["min", "max"], patience: int, plateaus: int = 1, least: float = 0.0
    ) -> None:
        self.monitor = monitor
        self.mode = mode
        self.patience = patience
        self.plateaus = plateaus
        self.least = least
        self.best = float("-inf")
        self.waited = 0
        self.reached = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop at once if the training had stopped before."""
        self._decide(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare the figure with the best value so far."""
        value = trainer.callback_metrics[self.monitor].item()
        value = value if self.mode == "max" else -value
        self.waited += 1
        if value > self.best + self.least:
            self.best, self.waited = value, 0
        elif self.waited == self.patience:
            self.reached, self.waited = self.reached + 1, 0
        self._decide(trainer)

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"best": self.best, "waited": self.waited, "reached": self.reached}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.best, self.waited, self.reached = (state_dict[name] for name in ("best", "waited", "reached"))

    def _decide(self, trainer: L.Trainer) -> None:
        trainer.should_stop = trainer.should_stop or self.reached >= self.plateaus


def is_first_process() -> bool:
    """True in the process that writes files and messages, among all that train together."""
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
    """Gather one object from each process."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [thing]
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, thing)
    return gathered
