"""A stranger's file of parts, and a recipe in which every part is one of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from soloist.config import imports
from soloist.separators import build_separator
from soloist.zoo import save_model

RATE = 1000

NETWORK = """
import torch
from torch import nn

from soloist.networks import MaskNetwork


class Gates(MaskNetwork):
    def __init__(self, filters: int = 8, outputs: int = 2) -> None:
        super().__init__()
        self.outputs = outputs
        self.convolution = nn.Conv1d(filters, outputs * filters, 3, padding=1)

    def forward(self, features):
        return torch.sigmoid(self.convolution(features)).unflatten(1, (self.outputs, -1))
"""
"""The part that a model needs; without those of a training a process that imports it is ready sooner."""

MINE = (
    """
from functools import cache, partial

import numpy as np
from lightning.pytorch.callbacks import Callback

from soloist.datasets import Corpus, StemTrack, SynthesizedStem
from soloist.losses import SourceLoss
from soloist.metrics import Metric
from soloist.mixing import Augmentation, ClipMixer
from soloist.training import Sampler
"""
    + NETWORK
    + '''

class Power:  # A part that is no torch module.
    def __init__(self, exponent: float = 1.0) -> None:
        self.exponent = exponent


class Distance(SourceLoss):
    def __init__(self, power: Power) -> None:
        super().__init__()
        self.power = power

    def compare(self, estimates, references):
        return (estimates - references).abs().pow(self.power.exponent).mean(dim=(-2, -1))


@cache
def hum(pitch: int) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * pitch * np.arange(1000) / 1000, dtype=np.float32)[None]


class Hums(Corpus):
    layout = "hums"
    splits = ("train", "test")

    def __init__(self, pitches: list[int]) -> None:
        self.pitches = pitches

    def find(self, split: str) -> list[StemTrack]:
        return [self.clip(pitch) for pitch in self.pitches]

    def clip(self, pitch: int) -> StemTrack:
        stem = SynthesizedStem(f"{pitch} Hz", 1000, 1000, partial(hum, pitch))
        return StemTrack(str(pitch), {"hum": stem}, labels=(str(pitch),))


class Humming(ClipMixer):
    """A mixer in another module than its base class."""


class Inverted(Augmentation):
    def apply(self, references, rng):
        return -references


class Error(Metric):
    higher_is_better = False

    def __call__(self, references, estimates, mixture):
        return (estimates - references).abs().mean(dim=(-2, -1))


class Backwards(Sampler):
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, epoch: int, count: int):
        return range(self.seed, self.seed + count)[::-1]


class Counting(Callback):
    def __init__(self, file: str) -> None:
        self.file, self.steps = file, 0

    def on_train_batch_end(self, *args) -> None:
        self.steps += 1

    def on_train_end(self, trainer, task) -> None:
        with open(self.file, "w") as file:
            file.write(str(self.steps))

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]
'''
)


def recipe_values(module: str, counted: Path) -> dict:
    """A recipe in which every part is the stranger's."""
    return {
        "name": "hums",
        "separator": {
            "class_path": "FilterbankSeparator",
            "init_args": {
                "sources": ["low", "high"],
                "sample_rate": RATE,
                "filterbank": {
                    "class_path": "LearnedFilterbank",
                    "init_args": {"num_filters": 8, "kernel_size": 21, "num_sources": 2},
                },
                "network": {"class_path": f"{module}.Gates"},
            },
        },
        "data": {
            "train": {
                "class_path": f"{module}.Humming",
                "init_args": {
                    "corpus": {"class_path": f"{module}.Hums", "init_args": {"pitches": [50, 90, 130, 170]}},
                    "split": "train",
                    "duration": 0.4,
                    "augmentations": [{"class_path": f"{module}.Inverted"}],
                },
            },
            "valid": {"split": "test"},
            "test": {"hums": {"split": "test"}},
            "sampler": {"class_path": f"{module}.Backwards"},
            "batch_size": 2,
            "examples_per_epoch": 8,
            "valid_examples": 4,
            "test_examples": 2,
            "workers": 1,
        },
        "loss": {
            "class_path": f"{module}.Distance",
            "init_args": {"power": {"class_path": f"{module}.Power", "init_args": {"exponent": 2.0}}},
        },
        "metrics": {"error": {"class_path": f"{module}.Error"}},
        "monitor": "valid/error",
        "callbacks": [{"class_path": f"{module}.Counting", "init_args": {"file": str(counted)}}],
        "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}},
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 1},
        "seed": 3,
        "watch": {"tensorboard": False},
    }


def write(folder: Path, module: str, **changes: object) -> Path:
    """Write a stranger's file, and a recipe with some keys changed that names its classes."""
    (folder / f"{module}.py").write_text(MINE)
    recipe = folder / f"{module}.yaml"
    recipe.write_text(yaml.safe_dump({**recipe_values(module, folder / "steps"), **changes}))
    return recipe


def save_model_of_theirs(folder: Path) -> Path:
    """Save a model of somebody else, with a network of theirs, and give its folder."""
    (folder / "theirs").mkdir()
    separator = recipe_values("mine", folder)["separator"]
    (folder / "theirs" / "mine.py").write_text(NETWORK)
    with forgotten_imports():
        imports.import_code(str(folder / "theirs" / "mine.py"))
        return save_model(build_separator(separator, "hums"), separator, {}, folder / "model")


@contextmanager
def forgotten_imports() -> Iterator[None]:
    """Forget what `--import` and `--trust` leave behind, as the end of a process does."""
    imported, ask, path = dict(imports._imported), imports._ask, list(sys.path)
    environment = {name: os.environ.get(name) for name in (imports.IMPORTS, imports.TRUST)}
    try:
        yield
    finally:
        for name in imports._imported.keys() - imported:
            sys.modules.pop(name, None)
        imports._imported.clear()
        imports._imported.update(imported)
        imports._ask, sys.path[:] = ask, path
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
