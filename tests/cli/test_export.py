"""`soloist export`, and the example that runs what it writes without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

import soloist as package

MODEL = "tiny-sudormrf-digits"
SONGS = "tiny-tfc-tdf-songs"
WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without_torch(*arguments):
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_an_exported_model_runs_without_pytorch(soloist, tmp_path, repository):
    result = soloist("export", MODEL, "--to", "onnx", "-o", tmp_path / "digits", "--chunk", 0.56)
    assert result.code == 0, result.err
    assert result.err == ""
    assert "input mixture: 1 batch, 1 channels, 4480 samples" in result.out
    assert "onnxruntime" in result.out

    mixture = (3000 * np.random.default_rng(0).standard_normal(4480)).astype(np.int16)
    soundfile.write(tmp_path / "talkers.wav", mixture, 8000, subtype="PCM_16")
    script = repository / "examples/run_onnx.py"
    run_without_torch(script, tmp_path / "digits", tmp_path / "talkers.wav", tmp_path / "stems")

    with torch.no_grad():
        expected = package.load(MODEL)(torch.from_numpy(mixture / np.float32(32768))[None, None])[0, :, 0]
    stems = [soundfile.read(tmp_path / f"stems/talker{number}.wav")[0] for number in (1, 2)]
    assert expected.abs().max() > 0.01
    np.testing.assert_allclose(stems, expected, atol=1e-4)


@pytest.mark.slow
def test_a_network_on_spectrograms_runs_without_pytorch(soloist, tmp_path, repository):
    result = soloist("export", SONGS, "--to", "onnx", "-o", tmp_path / "songs", "--chunk", 0.5)
    assert result.code == 0, result.err
    mixture = (3000 * np.random.default_rng(0).standard_normal((2, 22050))).astype(np.int16)
    soundfile.write(tmp_path / "song.wav", mixture.T, 44100, subtype="PCM_16")
    script = repository / "examples/run_onnx_spectrogram.py"
    run_without_torch(script, tmp_path / "songs", tmp_path / "song.wav", tmp_path / "stems")
    with torch.no_grad():
        expected = package.load(SONGS)(torch.from_numpy(mixture / np.float32(32768))[None])[0]
    stems = [soundfile.read(tmp_path / f"stems/{name}.wav")[0].T for name in ("vocals", "accompaniment")]
    assert expected.abs().amax(dim=(1, 2)).min() > 0.01
    np.testing.assert_allclose(stems, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["run_onnx.py", "run_onnx_spectrogram.py"])
def test_the_examples_are_short(repository, name):
    assert len((repository / "examples" / name).read_text().splitlines()) <= 40


@pytest.mark.slow
def test_the_card_as_json(soloist, tmp_path):
    folder = tmp_path / "digits"
    result = soloist("export", MODEL, "--to", "torchscript", "-o", folder, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out) == json.loads((folder / "model.json").read_text())
    again = soloist("export", MODEL, "--to", "torchscript", "-o", folder)
    assert again.code == 1
    assert "there is an export in" in again.err
    assert soloist("export", MODEL, "--to", "torchscript", "-o", folder, "--force").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["hpss", "--to", "onnx"], 2, "soloist: hpss has no network, so there is nothing to export"),
        (["no-such-model", "--to", "onnx"], 1, "no model is named 'no-such-model'"),
        ([MODEL, "--to", "onnx", "--chunk", "-1"], 2, "must be longer than 0 s"),
    ],
)
def test_errors_are_one_line(soloist, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    result = soloist("export", *arguments)
    assert result.code == code
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("missing", "form", "extra"),
    [
        ("onnxruntime", "onnx", "export"),
        ("onnxscript", "onnx", "export"),
        ("openvino", "openvino", "openvino"),
    ],
)
def test_a_missing_extra_is_named(soloist, tmp_path, monkeypatch, missing, form, extra):
    monkeypatch.chdir(tmp_path)
    # What Python has for a module that cannot be imported.
    monkeypatch.setitem(sys.modules, missing, None)
    result = soloist("export", MODEL, "--to", form, "--chunk", 0.5)
    assert result.code == 2
    assert f"pip install 'soloist[{extra}]'" in result.err
    assert not list(tmp_path.iterdir())
