"""A first step before a training begins: what is wrong with it is found before anything is written."""

from __future__ import annotations

import torch

from soloist.config import nearest
from soloist.errors import ConfigError, SoloistError, one_line
from soloist.mixing import Mixer
from soloist.training.data.batches import ExampleDataset
from soloist.training.loop.task import SeparationTask


def rehearse(task: SeparationTask, mixer: Mixer) -> None:
    """Do with one example what a training does with all, without learning from it.

    Args:
        task: What is to be trained.
        mixer: Draws its examples.

    Raises:
        ConfigError: The optimizer or the schedule is not valid, there is no figure that is monitored, or the
            parts of the separator do not fit together.
        SoloistError: No example can be read.
    """
    recipe = task.recipe
    task.configure_optimizers()
    if recipe.data.valid is not None and recipe.monitor.startswith("valid/"):
        _check_monitor(recipe.monitor, [f"valid/{name}" for name in task.figures])
    example, _ = ExampleDataset(mixer)[0]
    mixture, references = (torch.from_numpy(part)[None] for part in (example.mixture, example.references))
    task.eval()
    try:
        with torch.no_grad():
            prediction = task.separator.predict(mixture)
            for loss in (task.loss, task.valid_loss):
                loss(prediction, references)
    except SoloistError:
        raise
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{recipe.name} cannot be trained as it stands: {one_line(error)}") from error
    finally:
        task.train()


def _check_monitor(monitor: str, figures: list[str]) -> None:
    if monitor not in figures:
        raise ConfigError(f"monitor: the validation has no figure {monitor!r}; {nearest(monitor, figures)}")
