"""Pictures and settings of a run: curves from the first epoch on, hyperparameters in TensorBoard."""

from __future__ import annotations

from dataclasses import replace

import lightning as L
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

from soloist.training import RunFolder, SeparationTask, make_trainer, read_recipe
from soloist.training.data.loaders import RunData


class Look(Callback):
    """Notes in which epochs there is a picture when the next epoch begins."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.there: list[bool] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.there.append(self.run.curves.is_file())


def test_curves_are_drawn_from_the_first_epoch_on_and_settings_are_hyperparameters(write_recipe, tmp_path):
    recipe = read_recipe(write_recipe(watch={"tensorboard": True, "examples_every": 0}, ema=None))
    recipe = replace(recipe, trainer={**recipe.trainer, "max_epochs": 2})
    run = RunFolder(tmp_path / "run")
    trainer, look = make_trainer(recipe, run.path, quiet=True), Look(run)
    trainer.callbacks.append(look)
    trainer.fit(SeparationTask(recipe), RunData(recipe))
    assert look.there == [False, True]
    assert run.curves.read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    content = events.summary_metadata[SESSION_START_INFO_TAG].plugin_data.content
    shown = parse_session_start_info_plugin_data(content).hparams
    assert shown["optimizer.lr"].number_value == 0.01
    assert shown["separator.network.num_blocks"].number_value == 1
    assert shown["data.train.class_path"].string_value == "soloist.mixing.ClipMixer"
    assert "recipe/text_summary" in events.Tags()["tensors"]
