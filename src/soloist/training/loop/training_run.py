"""One training from beginning to end, and the folder that it leaves."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging

from soloist.config import check_arguments
from soloist.errors import ConfigError, Interrupted, TrainingError, one_line
from soloist.training.data.loaders import RunData
from soloist.training.loop.checkpoints import LAST, AtomicCheckpointIO, Checkpoints, read_checkpoint
from soloist.training.loop.callbacks import FiniteGuard, UnreadableFiles, is_first_process
from soloist.training.loop.patience import Patience
from soloist.training.loop.preflight import rehearse
from soloist.training.loop.task import SeparationTask
from soloist.training.recipe.recipe import Recipe
from soloist.training.results.finish import finish
from soloist.training.results.run_folder import RunFolder
from soloist.training.results.testing import Advance, TestSet
from soloist.training.watch.assembly import callbacks_for, loggers_for

_OURS = (
    "default_root_dir",
    "enable_checkpointing",
    "logger",
    "plugins",
    "use_distributed_sampler",
)
"""Arguments of the `Trainer` that are not the recipe's business."""


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    advance: Advance | None = None,
) -> list[TestSet] | None:
    """Train a recipe, test what comes out, and keep everything about it in a folder.

    Args:
        recipe: What is trained, and how.
        folder: The folder of the run.
        resume: Go on with the run that is there.
        overwrite: Replace the run that is there.
        quiet: Show no progress.
        advance: Told after each test example.

    Returns:
        The figures of the test sets; None in all processes but the first.

    Raises:
        UsageError: There is a run already, or none to go on with; a part of the recipe is not valid; a corpus
            is not there.
        TrainingError: The loss is not finite, or the state cannot be written.
        Interrupted: Somebody pressed Ctrl-C.
    """
    run = RunFolder(folder)
    if is_first_process():
        run.check(resume=resume, overwrite=overwrite)
    with _lightning_quiet():
        data, task = RunData(recipe), SeparationTask(recipe)
        trainer = make_trainer(recipe, folder, quiet=quiet)
        data.check_shares(trainer.world_size)
        last = run.checkpoints / LAST if resume and (run.checkpoints / LAST).exists() else None
        if last is not None:
            read_checkpoint(last)
        else:
            rehearse(task, data.train_mixer)
            data.show_to(task.separator)
        if is_first_process():
            run.go_on(recipe) if resume else run.begin(recipe)
        with _errors_explained(recipe, folder, trainer):
            trainer.fit(task, data, ckpt_path=last, weights_only=True)
    return finish(recipe, run, advance=advance) if trainer.is_global_zero else None


def interrupted(folder: Path) -> Interrupted:
    """What to tell somebody who pressed Ctrl-C."""
    if not RunFolder(folder).recipe.is_file():
        return Interrupted("interrupted before the training began")
    return Interrupted(f"interrupted; go on with: soloist train --resume {folder}")


def make_trainer(recipe: Recipe, folder: Path, *, quiet: bool = False) -> L.Trainer:
    """Lightning's trainer with what the recipe says and what every training has.

    Raises:
        ConfigError: An argument is unknown, of the wrong type, or not the recipe's business.
    """
    if "callbacks" in recipe.trainer:
        raise ConfigError(f"trainer of the recipe {recipe.name}: name callbacks under the key callbacks")
    if ours := [name for name in _OURS if name in recipe.trainer]:
        raise ConfigError(f"trainer of the recipe {recipe.name}: {ours[0]} is not the recipe's to say")
    # The order matters: checkpoints first, so that the end is saved before the average replaces the weights.
    callbacks = [*_keepers(recipe, RunFolder(folder)), *callbacks_for(recipe, quiet=quiet)]
    callbacks += [recipe.build(part, Callback) for part in recipe.callbacks]
    where = f"trainer of the recipe {recipe.name}"
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
    """What keeps a training safe, stops it and averages its weights."""
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


@contextmanager
def _errors_explained(recipe: Recipe, folder: Path, trainer: L.Trainer) -> Iterator[None]:
    """What Lightning and PyTorch raise, said in one line with the way out."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning leaves the program when it is interrupted.
        raise interrupted(folder) from stop
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the device's memory is full: lower data.batch_size (it is {recipe.data.batch_size}) or the "
            "duration of the examples, or use trainer.precision bf16-mixed"
        ) from error
    except MisconfigurationException as error:
        raise ConfigError(f"trainer of the recipe {recipe.name}: {one_line(error)}") from error


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Keep Lightning's banners and advice to itself; errors are raised anyway."""
    log = logging.getLogger("lightning")
    before = log.level
    log.setLevel(logging.ERROR)
    children = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [child.level for child in children]
    for child in children:
        child.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning(\.|$)")
            warnings.filterwarnings("ignore", module=r"torch\.optim\.lr_scheduler")
            yield
    finally:
        log.setLevel(before)
        for child, level in zip(children, levels, strict=True):
            child.setLevel(level)
