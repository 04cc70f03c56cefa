"""Task of a training for Lightning: steps, optimizer and schedules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, ReduceLROnPlateau
from torchmetrics import MeanMetric

from soloist.config import find_class
from soloist.errors import ConfigError
from soloist.losses import Loss
from soloist.losses.loss import full_precision
from soloist.metrics import permuted, si_sdr
from soloist.mixing import BatchRemix
from soloist.separators import Separator
from soloist.training.data.batches import ExampleBatch
from soloist.training.loop.fine_tuning import Beginning, add_adapters, begin_from, freeze, hold_frozen_norms
from soloist.training.loop.quality import QUALITY, measure_quality
from soloist.training.recipe.recipe import Recipe
from soloist.training.watch.metrics_file import VALID

ANEW = "anew"
"""Key in a checkpoint of the names of weights that began anew."""

KEPT_RATE = 0.1
"""Rate of what a model has learned, as a share of the optimizer's."""


class SeparationTask(L.LightningModule):
    """Trains the separator of a recipe.

    The randomness of a step comes from the seed and the number of the batch alone, so that a resumed training
    equals one that never stopped.

    Args:
        recipe: Recipe of the training.
        resumed: Names of the weights that began anew, of a training whose checkpoint will give all weights;
            None to begin.

    Attributes:
        beginning: Origin of the weights; None for fresh ones and for a resumed training.

    Raises:
        ConfigError: A part of the recipe is not valid.
        ModelError: The model to go on from is not on disk.
    """

    def __init__(self, recipe: Recipe, *, resumed: Sequence[str] | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        self.separator = recipe.build_separator()
        self.beginning: Beginning | None = None
        if recipe.from_ is not None and resumed is None:
            self.beginning = begin_from(self.separator, recipe.from_)
            resumed = (*self.beginning.anew, *self.beginning.partly)
        self._anew = tuple(resumed or ())
        if recipe.adapters is not None:
            add_adapters(self.separator, recipe.adapters, self._anew)
        if recipe.freeze:
            freeze(self.separator, recipe.freeze)
        self.loss: Loss = recipe.build(recipe.loss, Loss)
        self.valid_loss: Loss = recipe.build(recipe.valid_loss or recipe.loss, Loss)
        remix = recipe.data.remix
        self.remix: BatchRemix | None = None if remix is None else recipe.build(remix, BatchRemix)
        self.metrics = recipe.build_metrics()
        known = ("loss", *QUALITY)
        if taken := [name for name in self.metrics if name in known]:
            raise ConfigError(
                f"metrics of the recipe {recipe.name}: every validation has {taken[0]!r}; give another name"
            )
        # NaN, such as the quality of a silent source, is left out.
        self.figures = nn.ModuleDict(
            {VALID + name: MeanMetric(nan_strategy="ignore") for name in (*known, *self.metrics)}
        )

    def train(self, mode: bool = True) -> SeparationTask:
        """Set the mode; norms that are frozen keep their statistics."""
        super().train(mode)
        if mode and self.recipe.freeze:
            hold_frozen_norms(self.separator)
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store which weights began anew, for their rates."""
        checkpoint[ANEW] = list(self._anew)

    def on_train_batch_start(self, batch: ExampleBatch, batch_idx: int) -> None:
        """Seed dropout and the like for this step, differently in each process."""
        entropy = [self.recipe.seed, self.trainer.fit_loop.total_batch_idx, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))

    def training_step(self, batch: ExampleBatch, batch_idx: int) -> Tensor:
        """Compute the mean loss of a batch."""
        mixture, references = batch.mixture, batch.references
        if self.remix is not None:
            number = self.trainer.fit_loop.total_batch_idx * self.trainer.world_size + self.global_rank
            references = self.remix(references, number)
            mixture = references.sum(dim=1)
        with _lower_in_networks(self.separator, mixture):
            loss = self.loss(self.separator.predict(mixture), references).mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(mixture), sync_dist=True)
        return loss

    def validation_step(self, batch: ExampleBatch, batch_idx: int) -> Tensor:
        """Log loss and quality of a validation batch; return the estimates, for callbacks."""
        with _lower_in_networks(self.separator, batch.mixture):
            losses = self.valid_loss(self.separator.predict(batch.mixture), batch.references)
            estimates: Tensor = self.separator(batch.mixture)
        measured = self.measure(batch.mixture, batch.references, estimates)
        for name, values in {"loss": losses, **measured}.items():
            figure = cast(MeanMetric, self.figures[VALID + name])
            figure.update(values)
            self.log(VALID + name, figure, on_step=False, on_epoch=True)
        return estimates

    def measure(self, mixture: Tensor, references: Tensor, estimates: Tensor) -> dict[str, Tensor]:
        """Energy ratios and the recipe's metrics of a batch, each `(batch, sources)`.

        Raises:
            ConfigError: A metric returns another shape.
        """
        ordered = self.separator.ordered
        measured = measure_quality(references, estimates, mixture, ordered=ordered)
        if self.metrics and not ordered:
            order = permuted(si_sdr, references, estimates)[1]
            estimates = torch.take_along_dim(estimates, order[:, :, None, None], dim=1)
        for name, metric in self.metrics.items():
            measured[name] = values = metric(references, estimates, mixture)
            if not isinstance(values, Tensor) or values.shape != references.shape[:2]:
                given = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
                raise ConfigError(
                    f"metrics of the recipe {self.recipe.name}: {name} must be a tensor (batch, sources) "
                    f"{tuple(references.shape[:2])}, not {given}"
                )
        return measured

    def configure_optimizers(  # type: ignore[override]  # Lightning's annotation lacks what it documents
        self,
    ) -> tuple[list[Optimizer], list[LRSchedulerConfigType]]:
        """Build the recipe's optimizer, warm-up and schedule."""
        optimizer = self.recipe.build(self.recipe.optimizer, Optimizer, params=self._parameter_groups())
        _fuse(optimizer)
        schedulers: list[LRSchedulerConfigType] = []
        if steps := self.recipe.warmup:
            warmup = LinearLR(optimizer, start_factor=1 / (steps + 1), total_iters=steps)
            schedulers.append(LRSchedulerConfigType(scheduler=warmup, interval="step"))
        if self.recipe.scheduler is not None:
            schedulers.append(self._schedule(optimizer, self.recipe.scheduler))
        return [optimizer], schedulers

    def _schedule(self, optimizer: Optimizer, part: dict[str, Any]) -> LRSchedulerConfigType:
        """Build the recipe's schedule, stepped by epochs, or by validations if it waits for a plateau."""
        where = f"scheduler of the recipe {self.recipe.name}"
        if not issubclass(find_class(part.get("class_path", ""), where), ReduceLROnPlateau):
            scheduler = self.recipe.build(part, LRScheduler, optimizer=optimizer)
            return LRSchedulerConfigType(scheduler=scheduler, interval="epoch")
        if self.recipe.data.valid is None:
            raise ConfigError(f"{where}: ReduceLROnPlateau needs validations, and there is no data.valid")
        stated = {"mode": self.recipe.monitor_mode, **part.get("init_args", {})}
        scheduler = self.recipe.build({**part, "init_args": stated}, ReduceLROnPlateau, optimizer=optimizer)
        return LRSchedulerConfigType(
            scheduler=scheduler,
            interval="epoch",
            frequency=self.recipe.trainer.get("check_val_every_n_epoch") or 1,
            monitor=self.recipe.monitor,
        )

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Group the parameters by learning rate; the first matching pattern of `rates` decides.

        Of a training that goes on from a model, and has fresh weights as well, what was learned has a lower
        rate.

        Raises:
            ConfigError: A pattern fits no parameter.
        """
        rates = self.recipe.rates
        groups: dict[str | None, list[nn.Parameter]] = {None: [], **{pattern: [] for pattern in rates}}
        kept: list[nn.Parameter] = []
        lowers = bool(self._anew) and self.recipe.lora is None
        for name, parameter in self.separator.named_parameters():
            pattern = next((pattern for pattern in rates if re.search(pattern, name)), None)
            lower = pattern is None and lowers and name not in self._anew
            (kept if lower else groups[pattern]).append(parameter)
        if unused := [pattern for pattern in rates if not groups[pattern]]:
            raise ConfigError(f"rates of {self.recipe.name}: no parameter's name has {unused[0]!r} in it")
        groups = {pattern: _trained(parameters) for pattern, parameters in groups.items()}
        learned = _trained(kept)
        lowered = [{"params": learned, "lr": KEPT_RATE * self._rate()}] if learned else []
        return lowered + [
            {"params": parameters} if pattern is None else {"params": parameters, "lr": rates[pattern]}
            for pattern, parameters in groups.items()
            if parameters
        ]

    def _rate(self) -> float:
        """Learning rate of the optimizer, stated or by default."""
        part = self.recipe.optimizer
        stated = part.get("init_args", {}).get("lr")
        if stated is not None:
            return float(stated)
        cls = find_class(part.get("class_path", ""), f"optimizer of the recipe {self.recipe.name}")
        return float(inspect.signature(cls).parameters["lr"].default)


def _fuse(optimizer: Optimizer) -> None:
    """Let PyTorch's optimizers pass over memory once in a step on a processor; a recipe may decide otherwise.

    By default each operation is a pass. Not by the argument `fused`: Lightning takes optimizers made with it
    for ones that unscale gradients, and refuses to clip these in mixed precision.
    """
    if not type(optimizer).__module__.startswith("torch.optim."):
        return
    for group in optimizer.param_groups:
        stated = group.get("foreach") is not None or group.get("differentiable")
        fits = all(weight.is_cpu and weight.is_floating_point() for weight in group["params"])
        if "fused" in group and group["fused"] is None and fits and not stated:
            group["fused"] = True


@contextmanager
def _lower_in_networks(separator: Separator, like: Tensor) -> Iterator[None]:
    """Context in which networks alone compute in the precision of autocast, if there is any.

    Transforms, masks times mixtures, and losses stay in float32, as when the model separates.
    """
    device = like.device.type
    if not torch.is_autocast_enabled(device):
        yield
        return
    parts = [each for each in separator.modules() if isinstance(each, Separator)]
    for part in parts:
        part.network_dtype = torch.get_autocast_dtype(device)
    try:
        with full_precision(like):
            yield
    finally:
        for part in parts:
            part.network_dtype = None


def _trained(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]
