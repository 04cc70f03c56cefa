"""A model as nussl saves it, from its file to separated sounds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

RATE = 8000


@pytest.fixture
def saved(repository, tmp_path):
    """A file of masks for three sources, which add up to one."""
    with np.load(repository / "tests/fixtures/nussl/net_mask_inference.npz") as vector:
        config = json.loads(str(vector["config"]))["model_config"]
        state = {name[6:]: torch.from_numpy(vector[name]) for name in vector.files if "/layers." in name}
    path = tmp_path / "three.pth"
    torch.save({"state_dict": state, "metadata": {"config": config, "sample_rate": RATE}}, path)
    return path


def test_a_saved_model_separates(soloist, saved, tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    imported = soloist("models", "import", saved)
    assert imported.code == 0, imported.err
    assert imported.out.strip() == str(tmp_path / "home" / "models" / "three")
    assert "source1" in soloist("models", "show", "three").out
    mixture = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(tmp_path / "mixture.wav", mixture, RATE, subtype="FLOAT")
    result = soloist("separate", tmp_path / "mixture.wav", "-m", "three", "-o", tmp_path / "out")
    assert result.code == 0, result.err
    written = [soundfile.read(path)[0] for path in sorted((tmp_path / "out").rglob("*.wav"))]
    assert len(written) == 3
    assert np.abs(sum(written) - mixture).max() < 1e-3
    assert all(np.abs(source).max() > 1e-3 for source in written)


def test_a_file_that_does_not_say_its_rate_says_so(soloist, saved, tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    content = torch.load(saved, weights_only=True)
    del content["metadata"]["sample_rate"]
    torch.save(content, saved)
    result = soloist("models", "import", saved)
    assert result.code == 1
    assert len(result.err.strip().splitlines()) == 1
    assert "add sample_rate, in Hz" in result.err
    assert not (tmp_path / "home" / "models" / "three").exists()
