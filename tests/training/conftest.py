"""A training that takes a second: two talkers who hum, and a network of a few hundred weights."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

RATE = 1000


@pytest.fixture(scope="session")
def hummers(tmp_path_factory) -> Path:
    """Four talkers, each with four clips of a second on a pitch of their own."""
    root = tmp_path_factory.mktemp("hummers")
    time = np.arange(RATE) / RATE
    rng = np.random.default_rng(0)
    for place, talker in enumerate(("alt", "bass", "chant", "drone")):
        (root / talker).mkdir()
        for take in range(4):
            pitch = 40 * 2**place * (1 + 0.02 * take)
            clip = 0.3 * np.sin(2 * np.pi * pitch * time) + 0.01 * rng.standard_normal(RATE)
            soundfile.write(root / talker / f"{take}.wav", clip, RATE, subtype="FLOAT")
    return root


@pytest.fixture
def recipe_values(humming) -> dict:
    """A recipe as its file holds it; tests change what they are about."""
    return deepcopy(humming)


@pytest.fixture(scope="session")
def humming(hummers) -> dict:
    """The same for fixtures that several tests share, which change a copy."""
    return {
        "name": "humming",
        "separator": {
            "class_path": "soloist.separators.FilterbankSeparator",
            "init_args": {
                "sources": ["talker1", "talker2"],
                "sample_rate": RATE,
                "filterbank": {
                    "class_path": "soloist.transforms.LearnedFilterbank",
                    "init_args": {"num_filters": 8, "kernel_size": 21, "num_sources": 2},
                },
                "network": {
                    "class_path": "soloist.networks.SuDoRMRF",
                    "init_args": {
                        "num_filters": 8,
                        "channels": 4,
                        "hidden_channels": 8,
                        "num_blocks": 1,
                        "depth": 2,
                    },
                },
            },
        },
        "data": {
            "root": str(hummers),
            "train": {
                "class_path": "soloist.mixing.ClipMixer",
                "init_args": {
                    "corpus": {
                        "class_path": "soloist.datasets.ClipFolder",
                        "init_args": {
                            "pattern": r"(?P<talker>\w+)/(?P<take>\d)\.\w+",
                            "label": "talker",
                            "splits": {"train": {"take": "[0-2]"}, "test": {"take": "3"}},
                        },
                    },
                    "split": "train",
                    "duration": 0.4,
                },
            },
            "valid": {"split": "test"},
            "test": {"held out": {"split": "test", "seed": 1}},
            "batch_size": 2,
            "examples_per_epoch": 12,
            "valid_examples": 4,
            "test_examples": 6,
            "workers": 0,
        },
        "loss": {
            "class_path": "soloist.losses.PermutationInvariant",
            "init_args": {"loss": {"class_path": "soloist.losses.SISDR"}},
        },
        "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01}},
        "trainer": {"max_epochs": 3, "accelerator": "cpu", "log_every_n_steps": 1},
        "ema": 0.9,
        "watch": {"tensorboard": False},
    }


@pytest.fixture
def write_recipe(recipe_values, tmp_path):
    """Write the recipe with some values changed, and give its path."""
    return partial(_write, recipe_values, tmp_path)


@pytest.fixture(scope="module")
def write_shared_recipe(humming, tmp_path_factory):
    """The same for fixtures of a module."""
    return partial(_write, humming, tmp_path_factory.mktemp("recipe"))


def _write(values: dict, folder: Path, **changes) -> Path:
    path = folder / "humming.yaml"
    path.write_text(yaml.safe_dump(merged(values, changes), sort_keys=False))
    return path


def merged(values: dict, changes: dict) -> dict:
    """The values with the changes in their places."""
    result = dict(values)
    for key, change in changes.items():
        known = result.get(key)
        both = isinstance(change, dict) and isinstance(known, dict) and "class_path" not in change
        result[key] = merged(known, change) if both else change
    return result
