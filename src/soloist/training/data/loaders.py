"""Loaders of a training."""

from __future__ import annotations

import lightning as L
import torch

from soloist.errors import ConfigError
from soloist.separators import Measuring, Separator
from soloist.training.data.batches import BatchSampler, ExampleDataset, in_batches, make_loader, share_of
from soloist.training.data.curriculum import Curriculum
from soloist.training.data.mixers import build_train_mixer, build_valid_mixer
from soloist.training.recipe.recipe import Recipe

MEASURED = 200
"""Number of training examples for the statistics of separators that begin with statistics."""

_CUTTING = ("limit_train_batches", "overfit_batches", "fast_dev_run")
"""Arguments of the `Trainer` that shorten epochs."""


class RunData(L.LightningDataModule):
    """Loaders of a recipe.

    Raises:
        ConfigError: A mixer's configuration is not valid.
        UsageError: A corpus is not there.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        counting = [name for name in ("curriculum", "sampler") if getattr(recipe.data, name)]
        if counting and (cut := [name for name in _CUTTING if name in recipe.trainer]):
            raise ConfigError(
                f"data.{counting[0]} of the recipe {recipe.name} counts epochs of data.examples_per_epoch: "
                f"set that in place of trainer.{cut[0]}"
            )
        self.curriculum = Curriculum.of(recipe.data)
        self.train_mixer = build_train_mixer(recipe)
        self.valid_mixer = build_valid_mixer(recipe)

    def check_shares(self, world_size: int) -> None:
        """Check that several processes can share the batches.

        Raises:
            UsageError: A batch cannot be shared equally.
        """
        for batch_size in self.curriculum.batch_sizes:
            share_of(batch_size, world_size)

    def train_dataloader(self) -> object:
        """Loader of the training batches, from the next one on."""
        trainer, data = self._trainer, self.recipe.data
        progress = trainer.fit_loop.epoch_loop.batch_progress
        sampler = BatchSampler(
            self.curriculum,
            lambda: progress.total.ready,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return make_loader(self.train_mixer, sampler, workers=data.workers, pin_memory=self._pinned)

    def val_dataloader(self) -> object:
        """Loader of the validation batches, the same each time."""
        if self.valid_mixer is None:
            return []
        trainer, data = self._trainer, self.recipe.data
        batches = in_batches(
            data.valid_examples or len(self.valid_mixer),
            data.batch_size,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        return make_loader(self.valid_mixer, batches, workers=data.workers, pin_memory=self._pinned)

    def show_to(self, separator: Separator) -> None:
        """Initialise a separator that is `Measuring` with statistics of training examples."""
        if isinstance(separator, Measuring):
            examples = ExampleDataset(self.train_mixer)
            count = min(MEASURED, self.recipe.data.examples_per_epoch)
            drawn = (examples[index][0] for index in range(count))
            separator.measure(torch.from_numpy(example.mixture)[None] for example in drawn)

    @property
    def _trainer(self) -> L.Trainer:
        assert self.trainer is not None
        return self.trainer

    @property
    def _pinned(self) -> bool:
        return self._trainer.strategy.root_device.type == "cuda"
