"""Progress of a training: a live line in a terminal, plain lines in a log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import isnan
from time import monotonic
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.cells import cell_len
from rich.console import Console
from rich.progress_bar import ProgressBar as Bar
from rich.table import Table
from rich.text import Text

from soloist.resources.live_line import BETWEEN, LinePart, LiveLine, fit
from soloist.training.watch.metrics_file import EPOCH_LOSS
from soloist.training.watch.throughput import AUDIO_RATE, DATA_WAIT

LINE_EVERY = 60.0
"""Seconds between two lines of a log within an epoch."""

_BAR, _LEAST_BAR = 20, 6


@dataclass(frozen=True)
class _Figure:
    """Figure of the display, in full and short; see `LinePart`."""

    form: str
    short: str
    rank: int


# Loss of a step and of the epoch, quality, pace.
_SHOWN = {
    "train/loss": _Figure("loss {:.3f}", "loss {:.3f}", 1),
    EPOCH_LOSS: _Figure("epoch's loss {:.3f}", "loss {:.3f}", 1),
    "valid/loss": _Figure("validation loss {:.3f}", "valid. {:.3f}", 6),
    "valid/si_sdri": _Figure("SI-SDRi {:.2f} dB", "SI-SDRi {:.2f} dB", 3),
    AUDIO_RATE: _Figure("{:.1f} s of audio/s", "{:.1f} s/s", 4),
    DATA_WAIT: _Figure("data wait {:.0%}", "wait {:.0%}", 5),
}


def make_progress(*, quiet: bool) -> ProgressBar:
    """Choose the progress display: none if quiet, a live line in a terminal, else plain lines."""
    if quiet:
        return NoProgress()
    console = Console(stderr=True)
    return LiveProgress(console) if console.is_terminal else LineProgress(console)


class NoProgress(ProgressBar):
    """Shows nothing, in place of Lightning's own bar."""

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True

    def enable(self) -> None:
        """Enable the display."""
        self.enabled = True

    def disable(self) -> None:
        """Disable the display."""
        self.enabled = False


class _Paced(NoProgress):
    """Estimates the time that is left."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._begun = monotonic()
        self._first_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._begun = monotonic()
        self._first_step = trainer.global_step

    def remaining(self, trainer: L.Trainer) -> str:
        """Time left at the pace so far, validations included; empty if unknown."""
        total = count_steps(trainer)
        done = trainer.global_step - self._first_step
        if total is None or not done:
            return ""
        seconds = (monotonic() - self._begun) / done * (total - trainer.global_step)
        return f"{timedelta(seconds=round(seconds))} left"


class LineProgress(_Paced):
    """Prints a line after each epoch, and every minute within one.

    Args:
        console: Console to print to.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks."""
        super().on_train_start(trainer, pl_module)
        self._told = monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line if the last one is long ago."""
        if monotonic() - self._told >= LINE_EVERY:
            self._tell(trainer, without=EPOCH_LOSS)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print a line after an epoch and its validation."""
        self._tell(trainer, without="train/loss")

    def _tell(self, trainer: L.Trainer, without: str) -> None:
        self._told = monotonic()
        if self.enabled:
            parts = [where(trainer), *describe(trainer, without), self.remaining(trainer)]
            self.console.print(", ".join(filter(None, parts)), highlight=False, soft_wrap=True)


class LiveProgress(_Paced):
    """Line that stays: epoch and step, a bar of the whole training, and as many figures as the width holds.

    Args:
        console: Console to draw on.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = LiveLine(console)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the line."""
        super().on_train_start(trainer, pl_module)
        if self.enabled:
            self._live.start()
            self._draw(trainer, now=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw after a step."""
        self._draw(trainer)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw after a batch of a validation."""
        self._draw(trainer, f"validating, batch {batch_idx + 1}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw after an epoch and its validation."""
        self._draw(trainer, now=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop, and keep the last line."""
        self._live.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Release the terminal."""
        self._live.stop()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the line."""
        self.console.print(*args, **kwargs)

    def _draw(self, trainer: L.Trainer, doing: str = "", *, now: bool = False) -> None:
        self._live.draw(lambda: self._line(trainer, doing), now=now)

    def _line(self, trainer: L.Trainer, doing: str) -> Table:
        place, short = where(trainer), f"step {trainer.global_step}"
        left = self.remaining(trainer)
        parts = [
            LinePart(place, short, 0),
            *([LinePart(doing, doing, 3)] if doing else []),
            *_parts(trainer, EPOCH_LOSS),
            *([LinePart(left, left, 2)] if left else []),
        ]
        # In a narrow terminal the bar gives way before the figures do.
        first, *figures = fit(parts, self.console.width - _LEAST_BAR - 1)
        said = BETWEEN.join(figures)
        bar = min(_BAR, max(_LEAST_BAR, self.console.width - cell_len(first) - cell_len(said) - 2))
        line = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        for _ in range(3):
            line.add_column(no_wrap=True, overflow="crop")
        total = count_steps(trainer)
        drawn = Bar(total=total, completed=trainer.global_step, width=bar, pulse=total is None)
        line.add_row(Text(first), drawn, Text(said))
        return line


def where(trainer: L.Trainer) -> str:
    """Epoch and step."""
    epochs = f"/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else ""
    return f"epoch {trainer.current_epoch + 1}{epochs}, step {trainer.global_step}"


def describe(trainer: L.Trainer, without: str) -> list[str]:
    """List the figures known so far, without one."""
    return [part.text for part in _parts(trainer, without)]


def _parts(trainer: L.Trainer, without: str) -> list[LinePart]:
    known = trainer.callback_metrics
    return [
        LinePart(figure.form.format(float(known[name])), figure.short.format(float(known[name])), figure.rank)
        for name, figure in _SHOWN.items()
        # The quality of silent sources is no number; their names are in the log.
        if name in known and name != without and not isnan(float(known[name]))
    ]


def count_steps(trainer: L.Trainer) -> int | None:
    """Count the steps of the whole training; None if unbounded."""
    bounds = [float(trainer.max_steps)] if trainer.max_steps >= 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        bounds.append(
            trainer.max_epochs * -(-trainer.num_training_batches // trainer.accumulate_grad_batches)
        )
    least = min(bounds, default=float("inf"))
    return None if least == float("inf") else int(least)
