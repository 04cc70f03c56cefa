"""Stems that are silent in validation and tests are named, in place of figures that are no numbers."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from soloist.cli.recipe_tests import show_tests
from soloist.training import Recipe, train
from stem_corpora import RATE, noises, write_track

pytestmark = pytest.mark.slow

SOURCES = ["vocals", "bass"]


@pytest.fixture
def songs(tmp_path):
    """Two songs in each split; the bass plays in training only."""
    for seed, name in enumerate(("train/a", "train/b", "valid/a", "valid/b", "test/a", "test/b")):
        stems = noises(("vocals", "bass"), seconds=1.0, seed=seed)
        heard = 1.0 if name.startswith("train") else 0.0
        write_track(tmp_path / "songs" / name, {**stems, "bass": heard * stems["bass"]})
    return tmp_path / "songs"


def recipe_of(songs) -> Recipe:
    corpus = {"class_path": "soloist.datasets.StemFolders"}
    arguments = {"corpus": corpus, "split": "train", "duration": 0.5, "channels": 1}
    filterbank = {"num_filters": 16, "kernel_size": 21, "num_sources": 2}
    network = {"num_filters": 16, "channels": 8, "hidden_channels": 16, "num_blocks": 1, "depth": 2}
    separator = {
        "sources": SOURCES,
        "sample_rate": RATE,
        "ordered": True,
        "filterbank": {"class_path": "soloist.transforms.LearnedFilterbank", "init_args": filterbank},
        "network": {"class_path": "soloist.networks.SuDoRMRF", "init_args": network},
    }
    values = {
        "name": "silent",
        "separator": {"class_path": "soloist.separators.FilterbankSeparator", "init_args": separator},
        "data": {
            "root": str(songs),
            "train": {"class_path": "soloist.mixing.StemMixer", "init_args": arguments},
            "valid": {"split": "valid"},
            "test": {"songs": {"split": "test"}},
            "examples_per_epoch": 4,
            "valid_examples": 4,
            "batch_size": 2,
        },
        "loss": {"class_path": "soloist.losses.WaveformLoss"},
        "watch": {"tensorboard": False},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    }
    return Recipe.parse(values, "the recipe")


def test_stems_that_are_silent_in_all_examples_are_named_once(songs, tmp_path, caplog, capsys):
    with caplog.at_level(logging.WARNING, "soloist"):
        tests = train(recipe_of(songs), tmp_path / "run", quiet=True)
    lines = [record.getMessage() for record in caplog.records if "silent" in record.getMessage()]
    assert lines == ["silent in all validation examples: bass"]
    assert tests[0].silent == ("bass",)
    show_tests(tests)
    shown = capsys.readouterr()
    assert "nan" not in shown.out
    assert "vocals" in shown.out
    assert "bass" not in shown.out
    assert shown.err == "songs: silent in all examples: bass\n"
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["tests"]["songs"]["silent"] == ["bass"]


def test_a_set_without_any_sound_has_no_table(songs, tmp_path, capsys):
    for path in songs.glob("test/*/vocals.wav"):
        write_track(path.parent, {"vocals": np.zeros((1, RATE), np.float32)})
    show_tests(train(recipe_of(songs), tmp_path / "run", quiet=True))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "songs: silent in all examples: vocals, bass\n"


def test_stems_that_sound_somewhere_are_not_named(songs, tmp_path, caplog):
    for split in ("valid", "test"):
        write_track(songs / split / "a", noises(("vocals", "bass"), seconds=1.0, seed=9))
    with caplog.at_level(logging.WARNING, "soloist"):
        tests = train(recipe_of(songs), tmp_path / "run", quiet=True)
    assert not any("silent" in record.getMessage() for record in caplog.records)
    assert tests[0].silent == ()
