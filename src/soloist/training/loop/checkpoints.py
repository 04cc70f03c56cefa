"""Checkpoints: state of a training, from which it resumes to the bit."""

from __future__ import annotations

import io
import logging
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from soloist.errors import TrainingError
from soloist.files import whole_file, write_whole

_log = logging.getLogger(__name__)

LAST = "last.ckpt"
_BEST = "best-{step}.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically.

    A kill or a full disk leaves the previous checkpoint intact.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            TrainingError: The checkpoint cannot be written, for example to a full disk, or read again.
        """
        path = Path(path)
        _check_states(checkpoint.get("callbacks", {}))
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            write_whole(path, content.getvalue())
        except OSError as error:
            kept = "the one before it is intact" if path.exists() else "there is none before it"
            raise TrainingError(
                f"cannot write the checkpoint {path}: {error.strerror or error}; {kept}. "
                f"Make room, then go on: soloist train --resume {path.parents[1]}"
            ) from error


class Checkpoints(Callback):
    """Keeps the last and the best states of a training.

    A checkpoint lies between two steps: after each epoch and all that belongs to the epoch (validation,
    schedules, logs), within epochs every `every` steps, and at the end. A best checkpoint is that of the
    step whose monitored figure was best; the newest shares its file with the last checkpoint. A figure that
    is not a number is never best, and is named in the log, once.

    The callback must precede those that change weights at the end of a training, such as weight averaging.

    Args:
        folder: Folder of the checkpoints.
        monitor: Figure that ranks states; None without validation.
        mode: Direction in which the figure gets better.
        keep: Number of best states to keep.
        every: Steps between two checkpoints within an epoch; None for no such checkpoints.
    """

    def __init__(
        self,
        folder: Path,
        *,
        monitor: str | None,
        mode: Literal["min", "max"] = "max",
        keep: int = 1,
        every: int | None = None,
    ) -> None:
        self.folder = folder
        self.best: dict[str, float] = {}
        self._monitor = monitor
        self._sign = -1 if mode == "min" else 1
        self._keep = keep
        self._every = every
        self._score: float | None = None
        self._saved_step = 0
        self._named = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Repair links after a kill between two files, and a step that Lightning counts twice."""
        self._saved_step = trainer.global_step
        self._link_best(trainer)
        loop = trainer.fit_loop.epoch_loop
        fetcher = trainer.fit_loop._data_fetcher
        # Where a validation is due at the step to go on from, Lightning skips it, for it has been, but counts
        # the step once more.
        if loop.restarting and fetcher is not None and loop._should_check_val_fx(fetcher):
            loop._batches_that_stepped -= 1

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save before a step, when all that belongs to the previous step is done."""
        # Lightning takes the rest of the epoch that it goes on with for a restart, in which schedules that
        # wait for a validation do not advance.
        trainer.fit_loop._restarting = False
        step = trainer.global_step
        if step == self._saved_step or batch_idx % trainer.accumulate_grad_batches:
            return
        due = self._every is not None and step % self._every == 0
        if batch_idx == 0 or due or self._score is not None:
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember the monitored figure of this step."""
        if self._monitor is None or trainer.sanity_checking:
            return
        figure = trainer.callback_metrics.get(self._monitor)
        if figure is None:
            raise TrainingError(
                f"monitor: the validation has no figure {self._monitor!r}, only "
                f"{', '.join(sorted(trainer.callback_metrics))}"
            )
        self._score = float(figure)
        if math.isnan(self._score) and not self._named and trainer.is_global_zero:
            self._named = True
            _log.warning(
                "%s is not a number after step %d: such a validation is never the best, and counts as one "
                "without improvement",
                self._monitor,
                trainer.global_step,
            )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save a training that ends within an epoch, while its figures are known."""
        if not _is_epoch_complete(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the final state."""
        if trainer.global_step != self._saved_step:
            self._save(trainer)
        if self._named and not self.best:
            _log.warning("%s was never a number: the last state is kept as the best", self._monitor)

    def state_dict(self) -> dict[str, Any]:
        """Names of the best states, with their figures."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best states."""
        self.best = dict(state_dict["best"])

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Set Lightning's counters to the point between two steps."""
        loops = checkpoint["loops"]["fit_loop"]
        batches, epochs = loops["epoch_loop.batch_progress"], loops["epoch_progress"]
        begun = batches["current"]["completed"] < batches["current"]["ready"]
        ended = not begun and _is_epoch_complete(trainer)
        _set_all(batches["total"], batches["total"]["completed"])
        _set_all(batches["current"], 0 if ended else batches["current"]["completed"])
        batches["is_last_batch"] = False
        for counts in (epochs["total"], epochs["current"]):
            if not batches["current"]["completed"]:
                _set_all(counts, counts["processed"])
            elif not begun:
                counts["processed"] -= 1

    def _save(self, trainer: L.Trainer) -> None:
        self._rank(trainer.global_step)
        trainer.save_checkpoint(self.folder / LAST)
        self._saved_step = trainer.global_step
        self._link_best(trainer)

    def _rank(self, step: int) -> None:
        """Rank this step among the best ones."""
        score, self._score = self._score, None
        if score is None or math.isnan(score):
            return
        ranked = sorted(
            [*self.best.items(), (_BEST.format(step=step), score)], key=lambda item: -self._sign * item[1]
        )
        self.best = dict(ranked[: self._keep])

    def _link_best(self, trainer: L.Trainer) -> None:
        """Link a new best state to the last checkpoint, and remove former best states."""
        if not trainer.is_global_zero:
            return
        newest = _BEST.format(step=trainer.global_step)
        if newest in self.best and not (self.folder / newest).exists():
            _link(self.folder / LAST, self.folder / newest)
        for path in self.folder.glob(_BEST.format(step="*")):
            if path.name not in self.best:
                path.unlink()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values; no code runs.

    Raises:
        TrainingError: The checkpoint is missing or damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise TrainingError(f"cannot read the checkpoint {path}: {error}") from error
    return state


def best_checkpoint(folder: Path) -> Path:
    """Find the best checkpoint of a folder; the last one without validation.

    Raises:
        TrainingError: There is no checkpoint yet, or the last one is damaged.
    """
    last = folder / LAST
    if not last.exists():
        raise TrainingError(f"there is no checkpoint in {folder} yet")
    state = read_checkpoint(last)
    best = folder / next(iter(state["callbacks"][Checkpoints.__qualname__]["best"]), LAST)
    # A training that was killed between its last checkpoint and the link to it.
    unlinked = best.name == _BEST.format(step=state["global_step"]) and not best.exists()
    return last if unlinked else best


def separator_state(path: Path) -> dict[str, Tensor]:
    """Read the separator's weights in a checkpoint, averaged ones if the training averages.

    Raises:
        TrainingError: The checkpoint is damaged.
    """
    prefix = "separator."
    state = read_checkpoint(path)["state_dict"]
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _check_states(states: Mapping[str, Any]) -> None:
    """Refuse states of callbacks that `read_checkpoint` cannot read."""
    for name, state in states.items():
        content = io.BytesIO()
        try:
            torch.save(state, content)
            content.seek(0)
            torch.load(content, weights_only=True)
        # Objects that cannot be pickled raise whatever they like.
        except Exception as error:
            raise TrainingError(
                f"the callback {name} cannot be resumed: its state_dict must hold tensors and plain values"
            ) from error


def _is_epoch_complete(trainer: L.Trainer) -> bool:
    return trainer.fit_loop.epoch_loop._num_ready_batches_reached()


def _set_all(counts: dict[str, int], value: int) -> None:
    for name in counts:
        counts[name] = value


def _link(source: Path, target: Path) -> None:
    """Make a hard link; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        with whole_file(target) as staged:
            shutil.copyfile(source, staged)
