"""A model of Auralflow from the folder of its training to stems."""

import json

import numpy as np
import soundfile
import torch

from published_auralflow import published_state

SETTINGS = {
    "model_type": "SpectrogramNetVAE",
    "targets": ["bass"],
    "num_channels": 1,
    "num_hidden_channels": 2,
    "sample_length": 1,
    "sample_rate": 8000,
    "leak_factor": 0,
    "dropout_p": 0.4,
    "normalize_input": True,
    "normalize_output": False,
    "recurrent_depth": 2,
    "hidden_size": 6,
    "input_axis": 1,
    "mask_act_fn": "sigmoid",
    "num_fft": 128,
    "window_size": 128,
    "hop_length": 64,
}


def test_a_model_is_imported_and_separates(soloist, song, tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    folder = tmp_path / "my_model"
    folder.mkdir()
    torch.save(
        {"model": published_state(**SETTINGS, num_fft_bins=65, num_frames=127)}, folder / "checkpoint.pth"
    )
    (folder / "model.json").write_text(json.dumps(SETTINGS))
    imported = soloist("models", "import", folder / "checkpoint.pth", "--name", "low")
    assert imported.code == 0, imported.err
    for output in ("first", "second"):
        done = soloist("separate", "-m", "low", "--residual", "-o", tmp_path / output, song)
        assert done.code == 0, done.err
    mixture, _ = soundfile.read(song)
    stems = [soundfile.read(path)[0] for path in sorted((tmp_path / "first").rglob("*.wav"))]
    assert [len(stem) for stem in stems] == [len(mixture)] * 2
    assert all(stem.std() > 1e-3 for stem in stems)
    np.testing.assert_allclose(sum(stems), mixture, atol=1e-4)
    # Nothing is left to chance.
    for path in (tmp_path / "first").rglob("*.wav"):
        again = tmp_path / "second" / path.relative_to(tmp_path / "first")
        np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read(again)[0])
