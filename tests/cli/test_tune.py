"""`soloist tune`, and separations by its result."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

MODEL = "tiny-sudormrf-digits"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "talkers.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(9 * 8000), 8000)
    return path


def test_a_model_is_tuned_twice_and_separated_by_the_result(soloist, recording, tmp_path, home):
    for _ in range(2):
        result = soloist("tune", MODEL, "--budget", 0.05, "--threads", 1)
        assert result.code == 0
        assert all(name in result.out for name in ("torch", "openvino", "onnxr", "fastest"))
        assert len(list(home.glob("calibrations/*.json"))) == 1
    plan = json.loads(soloist("separate", recording, "-m", MODEL, "--dry-run", "--json").out)
    assert plan["expected_from"] == "calibration"
    report = json.loads(soloist("separate", recording, "-m", MODEL, "--json", "-o", tmp_path / "auto").out)
    assert report["engine"] == plan["engine"]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_each_engine_separates_as_pytorch_does(soloist, recording, tmp_path, engine):
    stems = {}
    for name in ("torch", engine):
        result = soloist(
            "separate", recording, "-m", MODEL, "--engine", name, "-o", tmp_path / name, "--json"
        )
        assert json.loads(result.out)["engine"] == name
        paths = sorted((tmp_path / name).rglob("*.wav"))
        stems[name] = np.stack([soundfile.read(path)[0] for path in paths])
    assert np.abs(stems[engine] - stems["torch"]).max() <= 1e-4 * np.abs(stems["torch"]).max()


def test_what_has_no_network_is_not_tuned(soloist):
    result = soloist("tune", "hpss")
    assert result.code == 2
    assert result.err.strip() == (
        "soloist: hpss has no network that other engines could run: there is nothing to tune"
    )


def test_one_model_that_is_not_there_stops_no_other(soloist):
    result = soloist("tune", "hpss", "no-such-model")
    assert result.code == 1
    assert "nothing to tune" in result.err
    assert "no-such-model" in result.err


def test_a_dry_run_says_what_it_will_take(soloist, recording):
    text = soloist("separate", recording, "-m", MODEL, "--dry-run").out
    assert "by torch on cpu" in text
    assert "by a chunk that was separated now" in text
    assert "weights: 1.6 MB, CC BY-SA 4.0" in text
    values = json.loads(soloist("separate", recording, "-m", MODEL, "--dry-run", "--json").out)
    assert values["expected_seconds"] > 0
    assert 100 < values["expected_memory_mb"] < values["available_memory_mb"]
    assert values["expected_from"] == "measurement"
    assert (values["engine"], values["device"], values["licence"]) == ("torch", "cpu", "CC BY-SA 4.0")


def test_a_dry_run_refuses_what_does_not_fit(soloist, tmp_path):
    path = tmp_path / "night.flac"
    soundfile.write(path, np.zeros(8 * 3600 * 8000, np.int16), 8000)
    result = soloist("separate", path, "-m", MODEL, "--dry-run", "--chunk", 8 * 3600)
    assert result.code == 1
    assert "take a shorter --chunk or a smaller --batch-size" in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_an_engine_that_cannot_is_refused(soloist, recording):
    result = soloist("separate", recording, "-m", "hpss", "--engine", "openvino")
    assert result.code == 2
    assert "no network that openvino could run" in result.err
