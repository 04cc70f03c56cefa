"""Preflight: one example through a training, before anything is written."""

from __future__ import annotations

from typing import Any

import torch

from soloist.config import nearest
from soloist.errors import ConfigError, SoloistError, one_line
from soloist.losses import Loss
from soloist.mixing import Mixer
from soloist.training.data.batches import ExampleDataset
from soloist.training.loop.task import SeparationTask
from soloist.training.watch.metrics_file import VALID


def rehearse(task: SeparationTask, mixer: Mixer) -> None:
    """Run one example through separator, losses and metrics, without learning.

    Args:
        task: Task to check.
        mixer: Draws the examples.

    Raises:
        ConfigError: The optimizer or the schedule is not valid, no figure has the monitored name, or the
            parts of the separator do not fit together.
        SoloistError: No example can be read.
    """
    recipe = task.recipe
    task.configure_optimizers()
    if recipe.data.valid is not None and recipe.monitor.startswith(VALID):
        _check_monitor(recipe.monitor, list(task.figures))
    example, _ = ExampleDataset(mixer)[0]
    mixture, references = (torch.from_numpy(part)[None] for part in (example.mixture, example.references))
    task.eval()
    try:
        with torch.no_grad():
            prediction = task.separator.predict(mixture)
            for loss in (task.loss, task.valid_loss):
                _check_loss(loss, loss(prediction, references), recipe.name)
            if task.metrics:
                task.measure(mixture, references, prediction.estimates)
    except SoloistError:
        raise
    # Whatever a network, a loss or a metric of somebody else's may raise.
    except Exception as error:
        said = one_line(error) if isinstance(error, (RuntimeError, ValueError)) else f"{error!r}"
        raise ConfigError(f"{recipe.name} cannot be trained as it stands: {said}") from error
    finally:
        task.train()


def _check_loss(loss: Loss, values: Any, name: str) -> None:
    if not isinstance(values, torch.Tensor) or values.shape != (1,):
        given = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise ConfigError(
            f"loss of the recipe {name}: {type(loss).__name__} must return one value for each item of the "
            f"batch, (1,) for one, not {given}"
        )


def _check_monitor(monitor: str, figures: list[str]) -> None:
    if monitor not in figures:
        raise ConfigError(f"monitor: the validation has no figure {monitor!r}; {nearest(monitor, figures)}")
