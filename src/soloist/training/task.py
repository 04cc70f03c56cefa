"""What is trained, as Lightning wants it: steps, and what optimises."""

from __future__ import annotations

import re
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from soloist.errors import ConfigError, TrainingError
from soloist.losses.base import Loss
from soloist.mixing.remix import BatchRemix
from soloist.training.data import Batch
from soloist.training.quality import measure_quality
from soloist.training.recipe import Recipe


class SeparationTask(L.LightningModule):
    """Trains the separator of a recipe.

    Nothing depends on what was drawn before: the randomness of a step comes from the seed and the number of
    the step, so that a training that was interrupted goes on as if it had not been.

    Args:
        recipe: What is trained, and how.

    Raises:
        ConfigError: A part of the recipe is not valid.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        self.separator = recipe.build_separator()
        self.loss: Loss = recipe.build(recipe.loss, Loss)
        self.valid_loss: Loss = recipe.build(recipe.valid_loss or recipe.loss, Loss)
        remix = recipe.data.remix
        self.remix: BatchRemix | None = None if remix is None else recipe.build(remix, BatchRemix)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout and the like for this step, in each process differently."""
        torch.manual_seed((self.recipe.seed << 40) + (self.global_step << 16) + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The mean loss of a batch.

        Raises:
            TrainingError: It is not a number.
        """
        mixture, references = batch.mixture, batch.references
        if self.remix is not None:
            references = self.remix(references, self.global_step * self.trainer.world_size + self.global_rank)
            mixture = references.sum(dim=1)
        loss = self.loss(self.separator.predict(mixture), references).mean()
        if not loss.isfinite():
            raise TrainingError(
                f"the loss of step {self.global_step} is {loss.item()}; it was made of "
                f"{'; '.join(batch.names)}"
            )
        self.log("train/loss", loss, prog_bar=True, batch_size=len(mixture), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss and quality of a validation batch; returns the estimates, for who wants to look at them."""
        loss = self.valid_loss(self.separator.predict(batch.mixture), batch.references).mean()
        estimates: Tensor = self.separator(batch.mixture)
        quality = measure_quality(batch.references, estimates, batch.mixture, ordered=self.separator.ordered)
        figures = {"valid/loss": loss}
        figures |= {f"valid/{name}": scores.nanmean() for name, scores in quality.items()}
        finite = {name: value for name, value in figures.items() if not value.isnan()}
        self.log_dict(finite, prog_bar=False, batch_size=len(batch.mixture), sync_dist=True)
        return estimates

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The recipe's optimizer and scheduler."""
        optimizer = self.recipe.build(self.recipe.optimizer, Optimizer, params=self._parameter_groups())
        if self.recipe.scheduler is None:
            return {"optimizer": optimizer}
        scheduler = self.recipe.build(
            self.recipe.scheduler, (LRScheduler, ReduceLROnPlateau), optimizer=optimizer
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "monitor": self.recipe.monitor},
        }

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters by learning rate; the first pattern of `rates` that is found in a name decides.

        Raises:
            ConfigError: A pattern fits no parameter.
        """
        rates = self.recipe.rates
        groups: dict[str | None, list[nn.Parameter]] = {None: [], **{pattern: [] for pattern in rates}}
        for name, parameter in self.separator.named_parameters():
            pattern = next((pattern for pattern in rates if re.search(pattern, name)), None)
            groups[pattern].append(parameter)
        if unused := [pattern for pattern in rates if not groups[pattern]]:
            raise ConfigError(f"rates of {self.recipe.name}: no parameter's name has {unused[0]!r} in it")
        return [
            {"params": parameters} if pattern is None else {"params": parameters, "lr": rates[pattern]}
            for pattern, parameters in groups.items()
            if parameters
        ]
