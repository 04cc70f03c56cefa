"""`soloist tune`, and separations by its result."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from soloist.inference.engines.precision import has_bfloat16
from soloist.separators import build_separator
from soloist.zoo import save_model
from strangers import save_model_of_theirs

SHIPPED = "tiny-sudormrf-digits"

CONFIG = {
    "class_path": "soloist.separators.SpectralSeparator",
    "init_args": {
        "transform": {
            "class_path": "soloist.transforms.STFT",
            "init_args": {"n_fft": 64, "hop_length": 16},
        },
        "network": {
            "class_path": "soloist.networks.OpenUnmix",
            "init_args": {
                "num_sources": 2,
                "channels": 1,
                "num_bins": 33,
                "num_input_bins": 20,
                "hidden_size": 8,
                "layers": 1,
            },
        },
        "sources": ["low", "high"],
        "sample_rate": 8000,
        "channels": 1,
        "representation": "magnitude",
        "mode": "masking",
    },
}


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """One cache for all tests: the graph is exported once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def home(monkeypatch, shared_home):
    monkeypatch.setenv("SOLOIST_HOME", str(shared_home))
    return shared_home


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder with a network that is exported at once."""
    torch.manual_seed(0)
    card = {"licence": {"weights": "CC0"}}
    return save_model(
        build_separator(CONFIG, "test"), CONFIG, card, tmp_path_factory.mktemp("models") / "tiny"
    )


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "talkers.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(9 * 8000), 8000)
    return path


@pytest.mark.slow
def test_a_model_is_tuned_and_separated_by_the_result(soloist, recording, model, tmp_path, home):
    result = soloist("tune", model, "--budget", 0.05, "--threads", 1)
    assert result.code == 0
    assert all(name in result.out for name in ("torch", "openvino", "onnxr", "fastest"))
    assert ("bfloat16" in result.out) == has_bfloat16()
    assert len(list(home.glob("calibrations/*"))) == 1
    plan = json.loads(soloist("separate", recording, "-m", model, "--dry-run", "--json").out)
    assert plan["expected_from"] == "calibration"
    report = json.loads(soloist("separate", recording, "-m", model, "--json", "-o", tmp_path / "auto").out)
    assert report["engine"] == plan["engine"]


@pytest.mark.slow
def test_only_the_wanted_precision_is_measured_and_code_of_others_imported(soloist, tmp_path):
    theirs = save_model_of_theirs(tmp_path)
    command = ("tune", theirs, "--budget", 0.01, "--threads", 1, "--precision", "float32")
    refused = soloist(*command)
    assert refused.code in (1, 2)
    assert "--trust" in refused.err
    result = soloist(*command, "--import", theirs / "mine.py")
    assert result.code == 0, result.err
    assert "float32" in result.out
    assert "bfloat16" not in result.out


def test_a_precision_that_a_processor_has_not_is_refused_at_once(soloist, model):
    result = soloist("tune", model, "--precision", "float16")
    assert result.code == 2
    assert result.err.strip() == (
        "soloist: float16 is for GPUs: take --precision bfloat16 or float32 on the cpu"
    )


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_each_engine_separates_as_pytorch_does(soloist, recording, model, tmp_path, engine):
    stems = {}
    for name in ("torch", engine):
        result = soloist(
            "separate", recording, "-m", model, "--engine", name, "-o", tmp_path / name, "--json"
        )
        assert json.loads(result.out)["engine"] == name
        plan = soloist("separate", recording, "-m", model, "--engine", name, "--dry-run", "--json")
        assert json.loads(plan.out)["engine"] == name
        paths = sorted((tmp_path / name).rglob("*.wav"))
        stems[name] = np.stack([soundfile.read(path)[0] for path in paths])
    assert np.abs(stems[engine] - stems["torch"]).max() <= 1e-4 * np.abs(stems["torch"]).max()


def test_an_ensemble_is_tuned_model_by_model(soloist):
    result = soloist("tune", "hpss,two-stage-hpss,hpss")
    assert result.code == 1
    assert [line.split()[1] for line in result.err.splitlines()] == ["hpss", "two-stage-hpss"]


def test_what_has_no_network_is_not_tuned(soloist):
    result = soloist("tune", "hpss")
    assert result.code == 2
    assert result.err.strip() == (
        "soloist: hpss has no network that other engines could run: there is nothing to tune"
    )


def test_a_budget_of_nothing_is_refused_at_once(soloist, model, home):
    result = soloist("tune", model, "--budget", 0)
    assert result.code == 2
    assert result.err.strip() == "soloist: the time for a figure must be more than 0 s, not 0"


def test_one_model_that_is_not_there_stops_no_other(soloist):
    result = soloist("tune", "hpss", "no-such-model")
    assert result.code == 1
    assert "nothing to tune" in result.err
    assert "no-such-model" in result.err


def test_an_engine_that_cannot_is_refused(soloist, recording):
    result = soloist("separate", recording, "-m", "hpss", "--engine", "openvino")
    assert result.code == 2
    assert "no network that openvino could run" in result.err
