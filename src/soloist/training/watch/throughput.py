"""Throughput of a training: time of a step, wait for data, audio per second."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import Profiler

from soloist.training.data.batches import ExampleBatch
from soloist.training.loop.task import SeparationTask
from soloist.training.watch.loggers import log_interval
from soloist.training.watch.metrics_file import ELAPSED

STEP_TIME = "time/step"
DATA_WAIT = "time/data_wait"
AUDIO_RATE = "time/audio_rate"

_FETCH = "train_dataloader_next"


class Timing(Callback):
    """Logs the pace of a training, each figure as the mean since the last row of the log.

    - `time/step`: seconds from one step to the next, without validations and checkpoints;
    - `time/data_wait`: the share of that, 0 to 1, in which the next batch was not ready yet;
    - `time/audio_rate`: seconds of audio that all processes together train on in a second;
    - `time/elapsed`: seconds of training so far, validations included, interruptions left out.
    """

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float, float]] = deque()
        self._elapsed = 0.0
        self._resumed = self._begun = monotonic()
        self._fetching: _FetchClock | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks."""
        self._steps = deque(maxlen=log_interval(trainer))
        self._resumed = monotonic()
        # Only a profiler sees when Lightning asks the loader for the next batch: between two steps there may
        # be a validation or a checkpoint too.
        self._fetching = _FetchClock(trainer.profiler)  # type: ignore[attr-defined]
        trainer.profiler = self._fetching  # type: ignore[attr-defined]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: ExampleBatch, batch_idx: int
    ) -> None:
        """Start the clock of a step."""
        self._begun = monotonic()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: ExampleBatch,
        batch_idx: int,
    ) -> None:
        """Log the pace after a step."""
        assert self._fetching is not None
        assert isinstance(pl_module, SeparationTask)
        now = monotonic()
        waited = self._fetching.take()
        examples, _, samples = batch.mixture.shape
        audio = trainer.world_size * examples * samples / pl_module.separator.sample_rate
        self._steps.append((now - self._begun + waited, waited, audio))
        total, waiting, heard = (sum(column) for column in zip(*self._steps, strict=True))
        figures = {
            STEP_TIME: total / len(self._steps),
            DATA_WAIT: waiting / total,
            AUDIO_RATE: heard / total,
            ELAPSED: self._elapsed + now - self._resumed,
        }
        pl_module.log_dict(figures, batch_size=examples)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the training's own profiler."""
        if self._fetching is not None:
            trainer.profiler = self._fetching.profiler  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, float]:
        """Time of training so far."""
        return {"elapsed": self._elapsed + monotonic() - self._resumed}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Restore the time."""
        self._elapsed = state_dict["elapsed"]


class _FetchClock(Profiler):
    """Measures the wait for the loader, and passes everything on to another profiler."""

    def __init__(self, profiler: Profiler) -> None:
        super().__init__()
        self.profiler = profiler
        self._asked = 0.0
        self._waited = 0.0

    def start(self, action_name: str) -> None:
        """Start an action."""
        self.profiler.start(action_name)
        if action_name.endswith(_FETCH):
            self._asked = monotonic()

    def stop(self, action_name: str) -> None:
        """Stop an action."""
        if action_name.endswith(_FETCH):
            self._waited += monotonic() - self._asked
        self.profiler.stop(action_name)

    def take(self) -> float:
        """Seconds of waiting since the last call."""
        waited, self._waited = self._waited, 0.0
        return waited
