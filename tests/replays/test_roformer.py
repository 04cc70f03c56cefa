"""RoFormers against the recorded outputs of their authors' code."""

from __future__ import annotations

import pytest

from reference_vectors import ReferenceVector, assert_near
from replays.roformer import separate_hops
from soloist.zoo import import_checkpoint, load

NETWORKS = [
    "bs_float16_state",
    "bs_mono_2stems_linear_deep",
    "bs_pope_2stems",
    "bs_stereo_4stems_skip_normalized",
    "bs_stereo_linear_flash",
    "bs_vocals_62bands",
    "mel_mono_3stems_16k",
    "mel_stereo_2stems_depth3_short_output",
    "mel_vocals_60bands",
]
# The longest one is in tests/separators/test_cutting.py, too.
TRACKS = [
    *("audio_separator_bs_6s", "demix_bs_short"),
    pytest.param("demix_bs_8s", marks=pytest.mark.nightly),
]
FORMS = [
    "dataparallel_prefix.ckpt",
    "full_training.ckpt",
    "plain.ckpt",
    "plain_float16.ckpt",
    "state_and_best_state.th",
    "state_dict.ckpt",
]


def vector_of(shared, name):
    return ReferenceVector(shared / "reference" / "roformer" / f"{name}.npz")


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(shared, name):
    vector = vector_of(shared, name)
    assert_near(vector.run(), vector["output"], 1e-5)


@pytest.mark.parametrize("name", TRACKS)
def test_whole_tracks(shared, name):
    vector = vector_of(shared, name)
    outputs = vector.run()
    for key, expected in vector.named("output").items():
        assert_near(outputs[key].to(expected.dtype), expected, 1e-5)


@pytest.mark.parametrize("file", FORMS)
def test_every_form_of_a_checkpoint(shared, tmp_path, file):
    forms = shared / "reference" / "roformer" / "checkpoint_forms"
    (tmp_path / file).symlink_to(forms / file)
    (tmp_path / "config.yaml").symlink_to(forms / "config.yaml")
    separator = load(import_checkpoint(tmp_path / file, tmp_path / "model", "form"))
    vector = vector_of(shared, "checkpoint_forms/expected")
    found = separate_hops(separator, vector["input"], whole_hops=False)
    assert_near(found, vector["output_float16" if "float16" in file else "output"], 1e-5)
