"""`soloist separate` with a model that clusters: its confidence, and files with little in them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from soloist.separators import build_separator
from soloist.zoo import save_model

RATE = 8000
SOURCES = ["first", "second", "third"]


def config(**options):
    network = {"inputs": 1, "outputs": 8, "num_bins": 65, "hidden_size": 8, "layers": 1}
    return {
        "class_path": "soloist.separators.ClusteringSeparator",
        "init_args": {
            "sources": SOURCES,
            "sample_rate": RATE,
            "embedding_size": 8,
            "chunk_frames": 250,
            "transform": {
                "class_path": "soloist.transforms.STFT",
                "init_args": {"n_fft": 128, "hop_length": 32, "window": "sqrt_hann", "scaled": True},
            },
            "network": {
                "class_path": "soloist.networks.RecurrentNetwork",
                "init_args": network,
            },
            "clusterer": {
                "class_path": "soloist.estimation.GaussianMixture",
                "init_args": {"covariance": "tied"},
            },
            **options,
        },
    }


def write_model(folder, **options):
    torch.manual_seed(0)
    described = config(**options)
    save_model(build_separator(described, "a test"), described, {"title": "A test"}, folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A mono model folder with untrained weights."""
    return write_model(tmp_path_factory.mktemp("models") / "clusters")


@pytest.fixture
def separate(soloist, tmp_path):
    """Separate samples `(samples, channels)`, and return the stems and what was reported."""

    def run(model, audio, *arguments):
        soundfile.write(tmp_path / "mixture.wav", audio, RATE, subtype="FLOAT")
        call = (
            "separate",
            tmp_path / "mixture.wav",
            "-m",
            model,
            "-o",
            tmp_path / "out",
            "--json",
            "-d",
            "cpu",
        )
        result = soloist(*call, *arguments)
        assert result.code == 0, result.err
        folder = tmp_path / "out" / model.name / "mixture"
        stems = [soundfile.read(folder / f"{name}.wav", always_2d=True)[0] for name in SOURCES]
        return np.stack(stems), json.loads(result.out)

    return run


def noise(seconds, channels=1):
    return 0.1 * np.random.default_rng(0).standard_normal((round(seconds * RATE), channels))


@pytest.mark.parametrize("arguments", [(), ("--shifts", 2), ("--batch-size", 3)])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_of_any_channels_becomes_stems_that_add_up(separate, model, channels, arguments):
    audio = noise(5.0, channels)
    stems, report = separate(model, audio, *arguments)
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=1e-4)
    assert set(report["confidence"]) == {"silhouette", "posterior"}
    assert -1 <= report["confidence"]["silhouette"] <= 1
    assert 0 <= report["confidence"]["posterior"] <= 1


@pytest.mark.parametrize("seconds", [1 / RATE, 0.2])
def test_a_very_short_file(separate, model, seconds):
    audio = noise(seconds)
    stems, _ = separate(model, audio)
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=1e-5)


def test_digital_silence_has_silent_stems_and_no_confidence(separate, model):
    stems, report = separate(model, np.zeros((3 * RATE, 1)))
    assert not stems.any()
    assert report["confidence"] is None


def test_one_sound_among_silence(separate, model):
    audio = np.zeros((RATE, 1))
    audio[4000] = 0.5
    stems, _ = separate(model, audio)
    assert np.isfinite(stems).all()
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=1e-5)


def test_one_channel_is_silent(separate, model):
    audio = noise(3.0, 2)
    audio[:, 1] = 0
    stems, _ = separate(model, audio)
    assert not stems[..., 1].any()
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=1e-4)


def test_sources_that_are_not_there_are_silent(separate, tmp_path):
    audio = noise(2.0)
    stems, report = separate(write_model(tmp_path / "counting", count_sources=True, sources=SOURCES), audio)
    energies = np.sort(np.square(stems).sum(axis=(1, 2)))
    # An untrained network finds one cluster in noise.
    assert energies[:2].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=1e-4)
    assert report["confidence"]["silhouette"] is None
    assert report["confidence"]["posterior"] == 1.0


def test_a_model_without_clusters_has_no_confidence(soloist, song, tmp_path):
    result = soloist("separate", song, "-o", tmp_path, "-m", "hpss", "--json")
    assert json.loads(result.out)["confidence"] is None
