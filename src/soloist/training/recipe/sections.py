"""Sections of a recipe: `data` and `watch`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from soloist.config import Config, record
from soloist.errors import ConfigError


@dataclass(frozen=True)
class Cache:
    """Cache of examples that are slow to draw.

    Attributes:
        examples: Number of training examples. Each epoch draws from these, with everything random about them,
            augmentations included, as first drawn.
        folder: Folder of the cache; None for memory, where each of `data.workers` keeps its own.

    Raises:
        ConfigError: The cache would be empty.
    """

    examples: int
    folder: str | None = None

    def __post_init__(self) -> None:
        check_least("data.cache.examples", self.examples, 1)


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters in place of training all weights; they are merged when the model is saved.

    Attributes:
        rank: Rank of the change of each layer's weights.
        alpha: Factor of the change times the rank; None for the rank.
        layers: Regular expression for the names of the linear and convolutional layers that get adapters.

    Raises:
        ConfigError: A value is out of range.
    """

    rank: int = 8
    alpha: float | None = None
    layers: str = ""

    def __post_init__(self) -> None:
        check_least("lora.rank", self.rank, 1)
        if self.alpha is not None and not self.alpha > 0:
            raise ConfigError(f"lora.alpha must be more than 0, not {self.alpha:g}")
        check_expression("lora.layers", self.layers)


@dataclass(frozen=True)
class Phase:
    """Phase of a curriculum, with shorter or longer excerpts.

    Attributes:
        until: Epochs from the beginning of the training to the end of the phase.
        duration: Length of the training examples, s; None for the mixer's.
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
    """Examples of a training.

    Attributes:
        train: Mixer of the training examples. `valid` and `test` state mixers, too, or only the arguments
            that differ from it: `{split: valid}`.
        root: Folder of the corpora; the `root` of a corpus is relative to it.
        valid: Mixer of the validation examples; None for no validation.
        test: Mixers of the test sets, by name.
        batch_size: Examples of a step, of all processes together, so that a recipe means the same on one GPU
            and on eight.
        examples_per_epoch: Training examples of an epoch, of all processes together.
        valid_examples: Number of validation examples; None for the mixer's.
        test_examples: Number of examples of each test set; None for its mixer's.
        workers: Processes that prepare examples; 0 prepares them in the training process.
        remix: Remixes each training batch, on the device; None for no remix.
        cache: Keeps training and validation examples, see `Cache`; None draws each anew.
        curriculum: Phases of the first epochs, see `Phase`: `[{until: 10, duration: 1.0}]`. All epochs have
            the same number of steps; validation and test examples never change.
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
        """Cache, from its configuration."""
        return None if self.cache is None else record(Cache, self.cache, "data.cache")

    @property
    def phases(self) -> list[Phase]:
        """Phases of the curriculum, from their configurations."""
        return [record(Phase, phase, "data.curriculum") for phase in self.curriculum]

    def mixer(self, part: Config) -> Config:
        """Complete the configuration of a mixer that may state only its differences from `train`."""
        if "class_path" in part:
            return part
        return {**self.train, "init_args": {**self.train.get("init_args", {}), **part}}


@dataclass(frozen=True)
class WatchConfig:
    """Records of a training, beside the progress and `metrics.csv`.

    Attributes:
        tensorboard: Write everything for TensorBoard, into the folder `tensorboard` of the run.
        wandb: Send the figures to Weights & Biases as well; needs the extra `wandb`.
        norms_every: Steps between two norms of each layer's weights and gradients; 0 for none.
        histograms_every: Epochs between two histograms of each layer's weights and gradients; 0 for none.
        examples_every: Epochs between two records of validation examples (sounds and pictures); 0 for none.
        examples: Number of recorded validation examples, always the first ones.
        seconds: Length of each, s.

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


def check_expression(key: str, pattern: str) -> None:
    """Refuse a text that is no regular expression.

    Raises:
        ConfigError: The text is none.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{key}: {pattern!r} is not a regular expression: {error}") from error


def check_least(name: str, value: int | None, least: int) -> None:
    """Refuse a number below `least`; None is no number.

    Raises:
        ConfigError: The number is too small.
    """
    if value is not None and value < least:
        raise ConfigError(f"{name} must be {least} or more, not {value}")
