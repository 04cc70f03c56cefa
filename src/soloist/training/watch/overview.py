"""Overview of a training for people: a picture of its curves, and its settings in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch.utils.tensorboard.summary import hparams

from soloist.plots import draw_curves, save_figure
from soloist.training.recipe.recipe import Recipe
from soloist.training.results.run_comparison import flatten
from soloist.training.watch.loggers import writer_of
from soloist.training.watch.metrics_file import CURVES, METRICS, read_rows

_DRAW_EVERY = 10.0
"""Fewest seconds between two drawings, so that trainings of short epochs do not wait for pictures."""


class Overview(Callback):
    """Draws `curves.png` after each epoch, and shows the recipe's keys as hyperparameters in TensorBoard.

    Args:
        recipe: Recipe of the training.
        folder: Folder of the run.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe = recipe
        self.folder = folder
        self._drawn = float("-inf")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the settings."""
        writer = writer_of(trainer)
        if writer is None:
            return
        values = self.recipe.to_dict()
        shown = {
            key: value for key, value in flatten(values).items() if isinstance(value, (bool, int, float, str))
        }
        # TensorBoard takes the figure's values from the scalars of the same name.
        events = writer.file_writer
        assert events is not None
        for summary in hparams(shown, {self.recipe.monitor: 0.0}):
            events.add_summary(summary)
        writer.add_text("recipe", "    " + self.recipe.to_yaml().replace("\n", "\n    "))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the curves after an epoch and its validation."""
        if monotonic() - self._drawn >= _DRAW_EVERY:
            self._draw(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the curves of the whole training."""
        self._draw(trainer)

    def _draw(self, trainer: L.Trainer) -> None:
        table = self.folder / METRICS
        if trainer.is_global_zero and table.exists():
            curves = {self.recipe.name: (read_rows(table)[1], self.recipe.monitor)}
            save_figure(draw_curves(curves), self.folder / CURVES)
            self._drawn = monotonic()
