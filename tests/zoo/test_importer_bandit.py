"""Checkpoints of Bandit become model folders that estimate what the published networks do."""

from __future__ import annotations

import pytest
import torch
import yaml

import soloist
from published_bandit import STEMS, Original, settings
from reference_vectors import assert_near
from soloist.errors import ModelError
from soloist.networks import Bandit
from soloist.networks.bandit import octave_bands
from soloist.zoo import import_checkpoint


def write(folder, version, state=None, **changes):
    original = Original(version).eval()
    torch.save(state or original.published(), folder / "film.chpt")
    (folder / "film.yaml").write_text(yaml.safe_dump(settings(version, **changes)))
    return original


def refusal(path):
    with pytest.raises(ModelError) as caught:
        import_checkpoint(path, path.parent / "model")
    assert "\n" not in str(caught.value)
    assert not (path.parent / "model").exists()
    return str(caught.value)


@pytest.mark.parametrize("version", [1, 2])
def test_a_bandit_estimates_what_the_original_does(tmp_path, version):
    original = write(tmp_path, version)
    separator = soloist.load(import_checkpoint(tmp_path / "film.chpt", tmp_path / "model"))
    assert separator.sources == tuple(STEMS)
    assert separator.cutting.length == 3200
    assert separator.cutting.overlaps == 4
    mixture = torch.randn(2, 2, 640)
    with torch.no_grad():
        expected = original(mixture)
        assert_near(separator(mixture), expected, 1e-5)
        assert_near(separator.optimize()(mixture), expected, 1e-5)


def test_the_published_sizes_have_the_published_number_of_weights():
    with torch.device("meta"):
        network = Bandit(3)
    assert sum(parameter.numel() for parameter in network.parameters()) == 37_022_688
    # With the windows of both transforms, and a weight for each bin of each band of each stem.
    bins = sum(map(len, octave_bands(64, 1025, 44100)))
    assert 37_022_688 + 2 * 2048 + 3 * bins == 37_033_210


@pytest.mark.slow
def test_what_does_not_fit_is_named(tmp_path):
    original = write(tmp_path, 1, emb_dim=8)
    assert "do not fit the Bandit" in refusal(tmp_path / "film.chpt")
    write(tmp_path, 1, complex_mask=False)
    assert "complex_mask: False is not supported" in refusal(tmp_path / "film.chpt")
    write(tmp_path, 1, film=True)
    assert "unknown key 'film'" in refusal(tmp_path / "film.chpt")
    state = original.published()
    del state["bsrnn.tf_model.seqband.1.fc.bias"]
    write(tmp_path, 1, state)
    assert 'Missing key(s) in state_dict: "paths.1.recurrence.linear.bias"' in refusal(tmp_path / "film.chpt")
    (tmp_path / "film.yaml").unlink()
    assert "put its YAML" in refusal(tmp_path / "film.chpt")
