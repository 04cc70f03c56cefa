"""What of a training is shown, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from soloist.errors import ConfigError


@dataclass(frozen=True)
class WatchConfig:
    """What of a training is shown, beside the progress and `metrics.csv`.

    Attributes:
        tensorboard: Write everything for TensorBoard, into the folder `tensorboard` of the run.
        wandb: Send the figures to Weights & Biases as well; needs the extra `wandb`.
        norms_every: Steps between two norms of each layer's weights and gradients; 0 for none.
        histograms_every: Epochs between two histograms of each layer's weights and gradients; 0 for none.
        examples_every: Epochs between two looks at validation examples (sounds and pictures); 0 for none.
        examples: How many validation examples are looked at, the first ones, always the same.
        seconds: How much of each is kept, s.

    Raises:
        ConfigError: A value is out of range.
    """

    tensorboard: bool = True
    wandb: bool = False
    norms_every: int = 50
    histograms_every: int = 1
    examples_every: int = 5
    examples: int = 2
    seconds: float = 6.0

    def __post_init__(self) -> None:
        for name in ("norms_every", "histograms_every", "examples_every", "examples"):
            if getattr(self, name) < 0:
                raise ConfigError(f"watch.{name} must be 0 or more, not {getattr(self, name)}")
        if not self.seconds > 0:
            raise ConfigError(f"watch.seconds must be more than 0, not {self.seconds:g}")
