"""One training from beginning to end, and the folder that it leaves."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from soloist.mixing.example import Mixer
from soloist.training.data import BatchSampler, in_batches, make_loader
from soloist.training.recipe import Recipe
from soloist.training.task import SeparationTask
from soloist.zoo.models import save_model
from soloist.zoo.typed import construct

RECIPE = "recipe.yaml"
CHECKPOINTS = "checkpoints"
LAST = "last.ckpt"
MODEL = "model"


class RunData(L.LightningDataModule):
    """The loaders of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.train_mixer: Mixer = recipe.build(recipe.data.train, Mixer)
        valid = recipe.data.valid
        self.valid_mixer: Mixer | None = (
            None if valid is None else recipe.build(recipe.data.mixer(valid), Mixer)
        )

    def train_dataloader(self) -> object:
        """Batches from the step on that comes next."""
        trainer = self.trainer
        assert trainer is not None
        data = self.recipe.data
        batches = data.examples_per_epoch // (data.batch_size * trainer.world_size)
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        sampler = BatchSampler(
            data.batch_size,
            batches,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            first_batch=done,
        )
        return make_loader(self.train_mixer, sampler, workers=data.workers)

    def val_dataloader(self) -> object:
        """The same examples each time."""
        if self.valid_mixer is None:
            return []
        data = self.recipe.data
        count = data.valid_examples or len(self.valid_mixer)
        return make_loader(self.valid_mixer, in_batches(count, data.batch_size), workers=data.workers)


def train(recipe: Recipe, folder: Path) -> Path:
    """Train a recipe and keep everything about it in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / CHECKPOINTS / LAST
    (folder / RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
    data = RunData(recipe)
    task = SeparationTask(recipe)
    best = ModelCheckpoint(
        folder / CHECKPOINTS,
        filename="best-{step}",
        monitor=recipe.monitor if data.valid_mixer else None,
        mode="min" if recipe.monitor.endswith("loss") else "max",
        save_top_k=recipe.keep,
        save_last=True,
    )
    callbacks: list[Callback] = [best]
    if recipe.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=recipe.ema))
    trainer = construct(
        L.Trainer,
        {
            "num_sanity_val_steps": 0,
            "use_distributed_sampler": False,
            "enable_model_summary": False,
            "log_every_n_steps": 10,
            **recipe.trainer,
            "default_root_dir": str(folder),
            "callbacks": callbacks,
            "logger": CSVLogger(folder, name="", version=""),
        },
        f"trainer of the recipe {recipe.name}",
    )
    trainer.fit(task, data, ckpt_path=last if last.exists() else None, weights_only=False)
    state = torch.load(best.best_model_path or last, weights_only=True, map_location="cpu")["state_dict"]
    task.load_state_dict(state)
    return save_model(task.separator, recipe.separator, recipe.card, folder / MODEL, overwrite=True)
