"""`soloist separate` with a model on the sliCQ: stems that add up, and memory that does not grow."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from soloist.separators import SliCQSeparator, build_separator
from soloist.zoo import save_model

RATE = 8000
CONFIG = {
    "class_path": "soloist.separators.SliCQSeparator",
    "init_args": {
        "sources": ["drums", "bass"],
        "sample_rate": RATE,
        "channels": 2,
        "bandwidth": 3000.0,
        "transform": {
            "class_path": "soloist.transforms.SliCQ",
            "init_args": {"scale": "bark", "bins": 24, "fmin": 80.0, "sample_rate": RATE},
        },
        "network": {
            "class_path": "soloist.networks.Autoencoder",
            "init_args": {"hidden_channels": [3, 4]},
        },
    },
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder with untrained weights."""
    folder = tmp_path_factory.mktemp("models") / "slicq"
    torch.manual_seed(0)
    separator = build_separator(CONFIG, "a test")
    assert isinstance(separator, SliCQSeparator)
    save_model(separator, CONFIG, {"title": "A test"}, folder)
    return folder


def write_noise(path, seconds):
    rng = np.random.default_rng(0)
    soundfile.write(path, 0.1 * rng.standard_normal((seconds * RATE, 2)), RATE, subtype="PCM_16")


def test_a_file_becomes_stems_that_add_up(soloist, model, tmp_path):
    write_noise(tmp_path / "noise.wav", 20)
    result = soloist("separate", tmp_path / "noise.wav", "-m", model, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    mixture, _ = soundfile.read(tmp_path / "noise.wav")
    stems = [soundfile.read(path)[0] for path in sorted((tmp_path / "out").rglob("*.wav"))]
    assert len(stems) == 2
    lacking = np.mean((mixture - sum(stems)) ** 2) / np.mean(mixture**2)
    assert lacking < 1e-3


@pytest.mark.slow
def test_memory_does_not_grow_with_duration(soloist_process, model, tmp_path):
    peaks = []
    for seconds in (30, 240):
        write_noise(tmp_path / "noise.wav", seconds)
        process = soloist_process(
            *("separate", tmp_path / "noise.wav", "-m", model, "-o", tmp_path / str(seconds), "--json")
        )
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        peaks.append(json.loads(out)["peak_memory_mb"])
    # What is held of 240 s: 15 MB of audio, and 120 MB of coefficients and estimates.
    assert peaks[1] < peaks[0] + 40
