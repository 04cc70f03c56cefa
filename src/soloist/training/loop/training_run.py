"""One training from beginning to end, with its folder."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from soloist.errors import ConfigError, Interrupted, TrainingError, one_line
from soloist.training.data.loaders import RunData
from soloist.training.loop.callbacks import is_first_process
from soloist.training.loop.checkpoints import LAST, read_checkpoint
from soloist.training.loop.preflight import rehearse
from soloist.training.loop.task import ANEW, SeparationTask
from soloist.training.loop.trainer import make_trainer
from soloist.training.recipe.recipe import Recipe
from soloist.training.results.finish import finish
from soloist.training.results.run_folder import RunFolder
from soloist.training.results.testing import Advance, TestSet


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    advance: Advance | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[TestSet] | None:
    """Train a recipe, test the model, and keep everything in a folder.

    Args:
        recipe: Recipe of the training.
        folder: Folder of the run.
        resume: Go on with the run in the folder.
        overwrite: Replace the run in the folder.
        quiet: Show no progress.
        advance: Callback after each test example.
        tell: Callback that receives a line on what was kept of the model to go on from.

    Returns:
        Figures of the test sets; None in all processes but the first.

    Raises:
        UsageError: There is a run already, or none to go on with; a part of the recipe is not valid; a corpus
            is missing.
        TrainingError: The loss is not finite, or the state cannot be written.
        Interrupted: The user pressed Ctrl-C.
    """
    run = RunFolder(folder)
    if is_first_process():
        run.check(resume=resume, overwrite=overwrite)
    try:
        with _lightning_quiet():
            first = _fit(recipe, run, resume=resume, quiet=quiet, tell=tell)
        return finish(recipe, run, advance=advance) if first else None
    except KeyboardInterrupt as stop:
        if not run.recipe.is_file():
            raise Interrupted("interrupted before the training began") from stop
        raise Interrupted(f"interrupted; go on with: soloist train --resume {folder}") from stop


def _fit(recipe: Recipe, run: RunFolder, *, resume: bool, quiet: bool, tell: Callable[[str], None]) -> bool:
    """Train to the end; True in the first process."""
    last = run.checkpoints / LAST if resume and (run.checkpoints / LAST).exists() else None
    resumed = None if last is None else read_checkpoint(last).get(ANEW, [])
    data, task = RunData(recipe), SeparationTask(recipe, resumed=resumed)
    trainer = make_trainer(recipe, run.path, quiet=quiet)
    data.check_shares(trainer.world_size)
    if last is None:
        rehearse(task, data.train_mixer)
        if task.beginning is None:
            data.show_to(task.separator)
        elif is_first_process():
            tell(task.beginning.describe())
    if is_first_process():
        run.go_on(recipe) if resume else run.begin(recipe)
    with _errors_explained(recipe):
        trainer.fit(task, data, ckpt_path=last, weights_only=True)
    return bool(trainer.is_global_zero)


@contextmanager
def _errors_explained(recipe: Recipe) -> Iterator[None]:
    """Turn what Lightning and PyTorch raise into one line with the way out."""
    try:
        yield
    except SystemExit as stop:
        # Lightning leaves the program when it is interrupted.
        raise KeyboardInterrupt from stop
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the device's memory is full: lower data.batch_size (it is {recipe.data.batch_size}) or the "
            "duration of the examples, or use trainer.precision bf16-mixed"
        ) from error
    except MisconfigurationException as error:
        raise ConfigError(f"trainer of the recipe {recipe.name}: {one_line(error)}") from error


@contextmanager
def _lightning_quiet() -> Iterator[None]:
    """Silence Lightning's banners and advice, not its errors."""
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
