"""`soloist separate` with models that need no training: each on a file as it comes."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from stereo_mixtures import RATE, improvements, talkers_at

MODELS = {
    "duet": ("source1", "source2"),
    "projet": ("source1", "source2"),
    "spatial-clustering": ("source1", "source2"),
    "ica": ("source1", "source2"),
    "timbre-clustering": ("source1", "source2"),
    "ensemble-clustering": ("vocals", "accompaniment"),
    "crossover": ("low", "high"),
}
BY_PLACE = ["duet", "projet", "spatial-clustering", "ica"]


@pytest.fixture(scope="module")
def talkers():
    """Two talkers at two places, `(1, 2, 2, samples)`."""
    return talkers_at((-6, 0), (6, 0), seconds=3.0)


def separated(soloist, folder, model, mixture, *options):
    """The stems `(samples, channels)` of a mixture `(samples, channels)`, and what was said."""
    soundfile.write(folder / "talk.wav", mixture, RATE, subtype="FLOAT")
    result = soloist(
        "separate", folder / "talk.wav", "-m", model, "-o", folder / "out", "--float32", *options
    )
    stems = [folder / "out" / model / "talk" / f"{name}.wav" for name in MODELS[model]]
    return [soundfile.read(stem, dtype="float32")[0] for stem in stems if stem.exists()], result


@pytest.mark.parametrize("model", MODELS)
def test_stems_add_up(soloist, tmp_path, model, talkers):
    mixture = talkers.sum(dim=1)[0].T.numpy()
    stems, result = separated(soloist, tmp_path, model, mixture)
    assert result.code == 0, result.err
    np.testing.assert_allclose(sum(stems), mixture, atol=1e-4)


@pytest.mark.parametrize("model", BY_PLACE)
def test_talkers_are_told_by_place_in_chunks_too(soloist, tmp_path, model, talkers):
    stems, result = separated(soloist, tmp_path, model, talkers.sum(dim=1)[0].T.numpy(), "--segment", "2")
    assert result.code == 0, result.err
    estimates = torch.from_numpy(np.stack(stems)).transpose(1, 2)[None]
    assert min(improvements(talkers, estimates)) > 8


@pytest.mark.parametrize("model", BY_PLACE)
def test_a_mono_file_is_one_clear_error(soloist, tmp_path, model, talkers):
    stems, result = separated(soloist, tmp_path, model, talkers[0, 0, 0].numpy())
    assert result.code == 1
    assert not stems
    assert not list(tmp_path.glob("out/**/*.wav"))
    assert len(result.err.strip().splitlines()) == 1
    assert "this mixture has" in result.err


@pytest.mark.parametrize("model", ["timbre-clustering", "ensemble-clustering", "crossover"])
def test_others_take_mono_files_as_well(soloist, tmp_path, model, talkers):
    stems, result = separated(soloist, tmp_path, model, talkers[0, 0, 0].numpy())
    assert result.code == 0, result.err
    assert len(stems) == 2


def test_three_channels_are_three_independent_sources(soloist, tmp_path, talkers):
    mixture = np.random.default_rng(0).laplace(size=(RATE, 3)).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "three.wav", mixture, RATE, subtype="FLOAT")
    result = soloist("separate", tmp_path / "three.wav", "-m", "ica", "-o", tmp_path / "out")
    assert result.code == 0, result.err
    assert len(list((tmp_path / "out").glob("**/source*.wav"))) == 3
