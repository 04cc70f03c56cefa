"""Sections of a recipe: `data`, what is drawn, and `watch`, what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from soloist.config import Config, record
from soloist.errors import ConfigError


@dataclass(frozen=True)
class Cache:
    """Examples that are drawn once and kept, where drawing them is what takes the time.

    Attributes:
        examples: How many training examples there are then: each epoch draws from these, whatever was random
            about them, augmentations included, stays as it was drawn.
        folder: Where they are kept; None for the memory, of which each of `data.workers` then takes its own.

    Raises:
        ConfigError: There would be no example.
    """

    examples: int
    folder: str | None = None

    def __post_init__(self) -> None:
        check_least("data.cache.examples", self.examples, 1)


@dataclass(frozen=True)
class Phase:
    """The first epochs of a training, or those after another phase, in which excerpts are shorter or longer.

    Attributes:
        until: Number of epochs after which it is over, counted from the beginning of the training.
        duration: Length of the training examples, s; None for that of the recipe's mixer.
        batch_size: Examples of a step, of all processes together; None for the recipe's.

    Raises:
        ConfigError: A value is out of range.
    """

    until: int
    duration: float | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("until", "batch_size"):
            check_least(f"data.curriculum: {name}", getattr(self, name), 1)
        if self.duration is not None and not self.duration > 0:
            raise ConfigError(f"data.curriculum: duration must be more than 0 s, not {self.duration:g}")


@dataclass(frozen=True)
class DataConfig:
    """Where the examples of a training come from.

    Attributes:
        train: The mixer of the training examples. The others are either such a configuration or only the
            arguments in which they differ from it: `{split: valid}`.
        root: The folder of the corpora; a `root` of a corpus in the recipe is relative to it.
        valid: The mixer of the validation examples; None for a training without validation.
        test: Mixers of the test sets, by name.
        batch_size: Examples of a step, of all processes together: a recipe means the same on one GPU and on
            eight.
        examples_per_epoch: Training examples, of all processes together, after which there is a validation.
        valid_examples: Validation examples; None for as many as the mixer has.
        test_examples: Examples of each test set; None for as many as its mixer has.
        workers: Processes that prepare examples; 0 prepares them in the training's own.
        remix: Remixes each training batch, on the device; None for not at all.
        cache: Keeps training and validation examples, see `Cache`; None draws each anew.
        curriculum: What differs in the first epochs, see `Phase`: `[{until: 10, duration: 1.0}]`. The steps
            of an epoch are as many in every phase; validation and test examples are always the same.

        sampler: Chooses the training examples of each epoch, and their order, see `soloist.training.Sampler`;
            None for each example once, in the order of their numbers.

    Raises:
        ConfigError: A value is out of range.
    """

    train: Config
    root: str | None = None
    valid: Config | None = None
    test: dict[str, Config] = field(default_factory=dict)
    batch_size: int = 4
    examples_per_epoch: int = 1000
    valid_examples: int | None = None
    test_examples: int | None = None
    workers: int = 1
    remix: Config | None = None
    cache: Config | None = None
    curriculum: Sequence[dict[str, Any]] = ()
    sampler: Config | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.examples_per_epoch:
            raise ConfigError(
                f"data.batch_size {self.batch_size} must be from 1 to examples_per_epoch "
                f"{self.examples_per_epoch}"
            )
        for name in ("valid_examples", "test_examples"):
            check_least(f"data.{name}", getattr(self, name), 1)
        check_least("data.workers", self.workers, 0)
        _ = self.kept
        ends = [phase.until for phase in self.phases]
        if ends != sorted(set(ends)):
            raise ConfigError(f"data.curriculum: each phase must end after the one before it, not {ends}")

    @property
    def batches(self) -> int:
        """Steps of an epoch."""
        return self.examples_per_epoch // self.batch_size

    @property
    def kept(self) -> Cache | None:
        """What `cache` says."""
        return None if self.cache is None else record(Cache, self.cache, "data.cache")

    @property
    def phases(self) -> list[Phase]:
        """What `curriculum` says."""
        return [record(Phase, phase, "data.curriculum") for phase in self.curriculum]

    def mixer(self, part: Config) -> Config:
        """The whole configuration of a mixer that may be stated by its differences from `train`."""
        if "class_path" in part:
            return part
        return {**self.train, "init_args": {**self.train.get("init_args", {}), **part}}


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


def check_least(name: str, value: int | None, least: int) -> None:
    """Refuse a number that is too small; None is any number.

    Raises:
        ConfigError: It is less than `least`.
    """
    if value is not None and value < least:
        raise ConfigError(f"{name} must be {least} or more, not {value}")
