"""The callbacks and loggers of a training, as its recipe wants them."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from soloist.training.recipe.recipe import Recipe
from soloist.training.watch.layer_statistics import Layers
from soloist.training.watch.learning_curves import Curves
from soloist.training.watch.loggers import Board, MetricsLogger, Resumption, wandb_logger
from soloist.training.watch.progress import make_progress
from soloist.training.watch.throughput import Timing
from soloist.training.watch.validation_examples import Examples


def callbacks_for(recipe: Recipe, *, quiet: bool = False) -> list[Callback]:
    """What is shown and measured while a recipe is trained.

    Args:
        recipe: What is trained.
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
    """Where the figures of a training go; the first one is `metrics.csv`.

    Args:
        recipe: What is trained.
        folder: The folder of the run.

    Raises:
        UsageError: Weights & Biases is wanted, but not installed.
    """
    loggers: list[Logger] = [MetricsLogger(folder)]
    if recipe.watch.tensorboard:
        loggers.append(Board(folder))
    if recipe.watch.wandb:
        loggers.append(wandb_logger(recipe.name, folder))
    return loggers
