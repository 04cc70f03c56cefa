"""Where Lightning's figures go: `metrics.csv`, TensorBoard, Weights & Biases."""

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
    """A logger that can take back what an interrupted training had logged beyond its last checkpoint."""

    def resume_at(self, step: int) -> None:
        """Forget the steps from this one on."""


class MetricsLogger(Logger):
    """Writes `metrics.csv`; see `MetricsFile`.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file: MetricsFile | None = None

    @property
    def name(self) -> str:
        """Nothing: the folder says which run it is."""
        return ""

    @property
    def version(self) -> str:
        """Nothing: a run that goes on is the same run."""
        return ""

    @property
    def save_dir(self) -> str:
        """The folder of the run."""
        return str(self._folder)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add figures of a step."""
        self._open().write(step or 0, metrics)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the recipe lies beside the file."""

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
        folder: The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="", sub_dir=TENSORBOARD, default_hp_metric=False)

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Tell TensorBoard not to show what earlier files say of this step and later ones."""
        restart = Event(step=step, session_log=SessionLog(status=SessionLog.START))
        self.experiment.file_writer.add_event(restart)

    @rank_zero_only
    def save(self) -> None:
        """Bring to the disk what is in memory."""
        self.experiment.flush()


class Resumption(Callback):
    """Makes the loggers of a training that goes on forget what is about to be logged again."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The checkpoint has been read: the next step is known."""
        for logger in trainer.loggers:
            if isinstance(logger, Resumable):
                logger.resume_at(trainer.global_step)


def writer_of(trainer: L.Trainer) -> SummaryWriter | None:
    """What writes for TensorBoard; None where it is not wanted, and in all processes but the first."""
    boards = [logger for logger in trainer.loggers if isinstance(logger, Board)]
    if not boards or not trainer.is_global_zero:
        return None
    writer: SummaryWriter = boards[0].experiment
    return writer


def log_interval(trainer: L.Trainer) -> int:
    """Steps between two rows of the log."""
    return max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]


def wandb_logger(name: str, folder: Path) -> Logger:
    """A logger for Weights & Biases.

    Raises:
        UsageError: The package is not installed.
    """
    import_extra("wandb", "wandb")
    return WandbLogger(name=name, save_dir=folder, project="soloist", resume="auto")
