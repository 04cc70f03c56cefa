"""Lightning's trainer of a recipe: its arguments, callbacks and loggers."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from lightning.pytorch.loggers import Logger

from soloist.config import check_arguments
from soloist.errors import ConfigError, one_line
from soloist.training.loop.callbacks import FiniteGuard, Patience, SilentStems, UnreadableFiles
from soloist.training.loop.checkpoints import AtomicCheckpointIO, Checkpoints
from soloist.training.recipe.recipe import Recipe
from soloist.training.results.run_folder import RunFolder
from soloist.training.watch.layer_statistics import Layers
from soloist.training.watch.learning_curves import Curves
from soloist.training.watch.loggers import Board, MetricsLogger, Resumption, wandb_logger
from soloist.training.watch.overview import Overview
from soloist.training.watch.progress import make_progress
from soloist.training.watch.throughput import Timing
from soloist.training.watch.validation_examples import Examples

_OURS = (
    "default_root_dir",
    "enable_checkpointing",
    "logger",
    "plugins",
    "use_distributed_sampler",
)
"""Arguments of the `Trainer` that a recipe cannot set."""


def make_trainer(recipe: Recipe, folder: Path, *, quiet: bool = False) -> L.Trainer:
    """Build Lightning's trainer from a recipe, with the callbacks of every training.

    Raises:
        ConfigError: An argument is unknown, of the wrong type, or one that a recipe cannot set.
    """
    where = f"trainer of the recipe {recipe.name}"
    if "callbacks" in recipe.trainer:
        raise ConfigError(f"{where}: name callbacks under the recipe's own key callbacks")
    if ours := [name for name in _OURS if name in recipe.trainer]:
        raise ConfigError(f"{where}: {ours[0]} is not the recipe's to say")
    # The order matters: checkpoints first, so that the end is saved before the average replaces the weights.
    callbacks = [*_keepers(recipe, RunFolder(folder)), *callbacks_for(recipe, quiet=quiet)]
    callbacks.append(Overview(recipe, folder))
    callbacks += [recipe.build(part, Callback) for part in recipe.callbacks]
    stated = check_arguments(L.Trainer, recipe.trainer, where)
    try:
        return L.Trainer(
            **{"num_sanity_val_steps": 0, "enable_model_summary": False, "log_every_n_steps": 10, **stated},
            default_root_dir=folder,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            callbacks=callbacks,
            logger=loggers_for(recipe, folder),
            plugins=[AtomicCheckpointIO()],
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise ConfigError(f"{where}: {one_line(error)}") from error


def _keepers(recipe: Recipe, run: RunFolder) -> list[Callback]:
    """Build the callbacks for checkpoints, bad numbers, averaging and early stopping."""
    validated = recipe.data.valid is not None
    callbacks: list[Callback] = [
        Checkpoints(
            run.checkpoints,
            monitor=recipe.monitor if validated else None,
            mode=recipe.monitor_mode,
            keep=recipe.keep,
            every=recipe.checkpoint_every,
        ),
        FiniteGuard(),
        UnreadableFiles(),
        SilentStems(),
    ]
    if recipe.ema is not None:
        callbacks.append(EMAWeightAveraging(decay=recipe.ema))
    if recipe.patience is not None:
        if not validated:
            raise ConfigError(f"patience of the recipe {recipe.name}: there is no data.valid to wait for")
        callbacks.append(
            Patience(
                recipe.monitor,
                recipe.monitor_mode,
                recipe.patience,
                plateaus=recipe.max_plateaus,
                least=recipe.min_delta,
            )
        )
    return callbacks


def callbacks_for(recipe: Recipe, *, quiet: bool = False) -> list[Callback]:
    """Build the callbacks that show and measure a training.

    Args:
        recipe: Recipe of the training.
        quiet: Show no progress.
    """
    watch = recipe.watch
    callbacks: list[Callback] = [Resumption(), Timing(), Curves()]
    if recipe.trainer.get("enable_progress_bar", True):
        callbacks.append(make_progress(quiet=quiet))
    if watch.tensorboard and (watch.norms_every or watch.histograms_every):
        callbacks.append(Layers(watch.norms_every, watch.histograms_every))
    if watch.tensorboard and watch.examples_every and watch.examples:
        callbacks.append(Examples(watch.examples, watch.examples_every, watch.seconds))
    return callbacks


def loggers_for(recipe: Recipe, folder: Path) -> list[Logger]:
    """Build the loggers of a training; the first one writes `metrics.csv`.

    Args:
        recipe: Recipe of the training.
        folder: Folder of the run.

    Raises:
        UsageError: Weights & Biases is not installed.
    """
    loggers: list[Logger] = [MetricsLogger(folder)]
    if recipe.watch.tensorboard:
        loggers.append(Board(folder))
    if recipe.watch.wandb:
        loggers.append(wandb_logger(recipe.name, folder))
    return loggers
