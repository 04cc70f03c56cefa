"""When a training that gets no better has been tried for long enough."""

from __future__ import annotations

from typing import Any, Literal

import lightning as L
from lightning.pytorch.callbacks import Callback


class Patience(Callback):
    """Stops a training after a number of plateaus, and leaves it stopped when it is called again.

    A plateau is over, and the next one begins, when there has been no improvement for some validations; an
    improvement begins the present one anew. A schedule that waits for plateaus as well can lower its rate in
    between.

    Args:
        monitor: The figure that is to get better.
        mode: Whether it is best when low or when high.
        patience: Validations of a plateau.
        plateaus: After how many of them to stop.
        least: By how much the best value so far must be surpassed to count as an improvement.
    """

    def __init__(
        self, monitor: str, mode: Literal["min", "max"], patience: int, plateaus: int = 1, least: float = 0.0
    ) -> None:
        self.monitor = monitor
        self.mode = mode
        self.patience = patience
        self.plateaus = plateaus
        self.least = least
        self.best = float("-inf")
        self.waited = 0
        self.reached = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A training that had stopped and is called again has nothing to do."""
        self._decide(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the figure."""
        value = trainer.callback_metrics[self.monitor].item()
        value = value if self.mode == "max" else -value
        self.waited += 1
        if value > self.best + self.least:
            self.best, self.waited = value, 0
        elif self.waited == self.patience:
            self.reached, self.waited = self.reached + 1, 0
        self._decide(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self.best, "waited": self.waited, "reached": self.reached}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best, self.waited, self.reached = (state_dict[name] for name in ("best", "waited", "reached"))

    def _decide(self, trainer: L.Trainer) -> None:
        trainer.should_stop = trainer.should_stop or self.reached >= self.plateaus
