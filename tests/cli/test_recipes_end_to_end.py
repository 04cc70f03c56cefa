"""Small recipes from the training to the exported file: what one command leaves, the next one takes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch

import soloist as package

BRIEF = {
    "--data.train.corpus.songs": 2,
    "--data.train.corpus.seconds": 5.0,
    "--data.examples_per_epoch": 8,
    "--data.valid_examples": 2,
    "--data.test_examples": 2,
    "--data.workers": 0,
    "--trainer.max_epochs": 1,
}
SMALLER = {
    "tiny-mdxnet": {"num_blocks": 3, "layers": 1, "growth": 4},
    "tiny-mdx23c": {"num_scales": 2, "internal_channels": 8, "growth": 4},
    "tiny-scnet": {"dims": [2, 8, 12], "conv_depths": [1, 1, 1]},
    "tiny-bs-roformer": {"bands": [32, 96, 129], "blocks.init_args.depth": 1},
    "tiny-mel-roformer": {"num_bands": 4, "blocks.init_args.depth": 1},
}
"""What takes the exporters long and is the same again: each band, each scale and each block."""

EVERY_RUN = ("tiny-mdxnet", "tiny-bs-roformer")


# tests/training/test_recipes_shipped.py trains the others, tests/export/test_formats.py exports them.
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name if name in EVERY_RUN else pytest.param(name, marks=pytest.mark.nightly) for name in SMALLER],
)
def test_a_recipe_trains_separates_and_exports(soloist, tmp_path, name):
    smaller = {f"--separator.network.{key}": value for key, value in SMALLER[name].items()}
    values = [part for pair in {**BRIEF, **smaller}.items() for part in map(str, pair)]
    result = soloist("train", name, *values, "-q", "-o", tmp_path / "run")
    assert result.code == 0, result.err
    assert "SI-SDRi" in result.out

    mixture = (3000 * np.random.default_rng(0).standard_normal(16128)).astype(np.int16)
    soundfile.write(tmp_path / "song.wav", mixture, 8000, subtype="PCM_16")
    result = soloist(
        "separate", tmp_path / "song.wav", "-m", tmp_path / "run", "-o", tmp_path / "out", "--float32"
    )
    assert result.code == 0, result.err
    separator = package.load(tmp_path / "run/model")
    audio = torch.from_numpy(mixture / np.float32(32768))[None, None]
    with torch.no_grad():
        expected = separator(audio)[0, :, 0]
    found = [soundfile.read(next((tmp_path / "out").rglob(f"{name}.wav")))[0] for name in separator.sources]
    # Single precision of the mixture, for stems that are a thousand times as quiet.
    bound = max(1e-5 * float(expected.abs().max()), 2e-7 * float(audio.abs().max()))
    np.testing.assert_allclose(found, expected, atol=bound)

    result = soloist("export", tmp_path / "run/model", "--to", "onnx", "-o", tmp_path / "onnx")
    assert result.code == 0, result.err
    inputs, finish = separator.stage(audio)
    session = onnxruntime.InferenceSession(tmp_path / "onnx/model.onnx")
    # One graph for all lengths.
    assert all(isinstance(taken.shape[-1], str) for taken in session.get_inputs())
    named = {taken.name: value.numpy() for taken, value in zip(session.get_inputs(), inputs, strict=True)}
    outputs = [torch.from_numpy(output) for output in session.run(None, named)]
    np.testing.assert_allclose(finish(outputs)[0, :, 0], expected, atol=bound)
