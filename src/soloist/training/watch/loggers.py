"""Loggers for `metrics.csv`, TensorBoard, and Weights & Biases."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from torch.utils.tensorboard import SummaryWriter

from soloist.resources import import_extra
from soloist.training.watch.metrics_file import METRICS, MetricsFile

TENSORBOARD = "tensorboard"


@runtime_checkable
class Resumable(Protocol):
    """Logger that can remove figures beyond the checkpoint that a training resumes from."""

    def resume_at(self, step: int) -> None:
        """Remove this step and later ones."""


class MetricsLogger(Logger):
    """Writes `metrics.csv`; see `MetricsFile`.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file: MetricsFile | None = None

    @property
    def name(self) -> str:
        """Empty name: the folder identifies the run."""
        return ""

    @property
    def version(self) -> str:
        """Empty version: a resumed run is the same run."""
        return ""

    @property
    def save_dir(self) -> str:
        """Folder of the run."""
        return str(self._folder)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add figures of a step."""
        self._open().write(step or 0, metrics)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the recipe lies beside the file."""

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Remove the rows from this step on."""
        self._open().drop_from(step)

    def _open(self) -> MetricsFile:
        # Only the first process opens the file, hence not before it is needed.
        if self._file is None:
            self._file = MetricsFile(self._folder / METRICS)
        return self._file


class Board(TensorBoardLogger):
    """Writes the folder `tensorboard` of a run.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="", sub_dir=TENSORBOARD, default_hp_metric=False)

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Tell TensorBoard to ignore this step and later ones in earlier files."""
        restart = Event(step=step, session_log=SessionLog(status=SessionLog.START))
        self.experiment.file_writer.add_event(restart)

    @rank_zero_only
    def save(self) -> None:
        """Write buffered events to the disk."""
        self.experiment.flush()


class Resumption(Callback):
    """Removes figures from the loggers of a resumed training that it will log again."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove figures from the next step on."""
        for logger in trainer.loggers:
            if isinstance(logger, Resumable):
                logger.resume_at(trainer.global_step)


def writer_of(trainer: L.Trainer) -> SummaryWriter | None:
    """Writer for TensorBoard; None without TensorBoard, and in all processes but the first."""
    boards = [logger for logger in trainer.loggers if isinstance(logger, Board)]
    if not boards or not trainer.is_global_zero:
        return None
    writer: SummaryWriter = boards[0].experiment
    return writer


def log_interval(trainer: L.Trainer) -> int:
    """Steps between two rows of the log."""
    return max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]


def wandb_logger(name: str, folder: Path) -> Logger:
    """Build a logger for Weights & Biases.

    Raises:
        UsageError: The package is not installed.
    """
    import_extra("wandb", "wandb")
    return WandbLogger(name=name, save_dir=folder, project="soloist", resume="auto")
