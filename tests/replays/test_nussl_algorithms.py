"""nussl's training-free algorithms against their recorded outputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from replays import from_reference
from soloist.errors import ModelError

FIXTURE = Path(__file__).parents[1] / "fixtures" / "nussl" / "classical.npz"
ALGORITHMS = ["hpss", "repet", "repet_sim", "ft2d", "ft2d_original", "rpca"]
TOLERANCE = 1e-3

HPSS_CONFIG = {
    "system": "nussl 1.1.9",
    "kind": "classical",
    "class": "primitive.HPSS",
    "args": {},
    "sample_rate": 16000,
    "stft": [512, 128, "sqrt_hann"],
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_meets_the_fixture(name):
    with np.load(FIXTURE) as stored:
        config = json.loads(str(stored[f"{name}/config"]))
        mixture = torch.from_numpy(stored["input"].astype(np.float32) / 32768)
        expected = {key: stored[f"{name}/output/{key}"] for key in ("audio/0", "audio/1", "mask/0")}
    outputs = from_reference(config, {})(mixture)
    # The fixture holds every 8th sample, and every 4th bin of every 4th frame.
    assert np.abs(outputs["audio/0"][:, ::8].numpy() - expected["audio/0"]).max() < TOLERANCE
    assert np.abs(outputs["audio/1"][:, ::8].numpy() - expected["audio/1"]).max() < TOLERANCE
    assert np.abs(outputs["mask/0"][::4, ::4].numpy() - expected["mask/0"]).max() < TOLERANCE


@pytest.mark.parametrize("name", ALGORITHMS)
def test_meets_the_whole_vector(name, shared):
    with np.load(shared / "reference" / "nussl" / f"{name}.npz") as stored:
        vector = dict(stored)
    outputs = from_reference(json.loads(str(vector["config"])), {})(torch.from_numpy(vector["input"]))
    for key, output in outputs.items():
        expected = vector[f"output/{key}"]
        assert output.shape == expected.shape
        assert np.abs(output.numpy() - expected).max() < TOLERANCE


@pytest.mark.parametrize("length", [7001, 7168])
def test_shapes_follow_a_stereo_input_of_any_length(length):
    outputs = from_reference(HPSS_CONFIG, {})(torch.randn(2, length))
    assert outputs["audio/0"].shape == outputs["audio/1"].shape == (2, length)
    assert outputs["mask/0"].shape == (257, -(-length // 128) + 1, 2)
    assert outputs["audio/0"].dtype == torch.float32


def test_kernels_may_differ():
    mixture = torch.randn(1, 8000)
    both = from_reference(HPSS_CONFIG | {"args": {"kernel_size": [9, 17]}}, {})(mixture)
    same = from_reference(HPSS_CONFIG | {"args": {"kernel_size": 9}}, {})(mixture)
    assert not torch.allclose(both["mask/0"], same["mask/0"])


def test_binary_masks_give_ties_to_both_sources():
    mixture = torch.zeros(1, 8000)
    outputs = from_reference(HPSS_CONFIG | {"args": {"mask_type": "binary"}}, {})(mixture)
    assert (outputs["mask/0"] == 1).all()
    mixture = torch.randn(1, 8000)
    outputs = from_reference(HPSS_CONFIG | {"args": {"mask_type": "binary"}}, {})(mixture)
    assert set(outputs["mask/0"].unique().tolist()) == {0.0, 1.0}


def test_an_unknown_argument_is_named():
    with pytest.raises(ModelError, match="kernal_size"):
        from_reference(HPSS_CONFIG | {"args": {"kernal_size": 9}}, {})


def test_an_unknown_window_is_named():
    with pytest.raises(ModelError, match="kaiser"):
        from_reference(HPSS_CONFIG | {"stft": [512, 128, "kaiser"]}, {})


def test_an_unknown_filter_approach_is_named():
    with pytest.raises(ModelError, match="loudest"):
        from_reference(HPSS_CONFIG | {"class": "primitive.FT2D", "args": {"filter_approach": "loudest"}}, {})


@pytest.mark.parametrize(
    ("algorithm", "arguments"),
    [
        ("primitive.Repet", {"min_period": 0.3, "max_period": 0.5}),
        ("primitive.Repet", {"period": 0.25, "high_pass_cutoff": 400, "mask_threshold": 0.3}),
        ("primitive.RepetSim", {"similarity_threshold": 0.4, "max_repeating_frames": 3}),
        ("primitive.FT2D", {"neighborhood_size": 7, "quadrants_to_keep": [0, 2]}),
        ("primitive.FT2D", {"use_bg_2dft": False}),
        ("factorization.RPCA", {"num_iterations": 3, "epsilon": 1e-3}),
    ],
)
def test_arguments_take_effect_and_masks_are_complete(algorithm, arguments):
    mixture = torch.randn(2, 32_000, generator=torch.Generator().manual_seed(3))
    config = HPSS_CONFIG | {"class": algorithm}
    outputs = from_reference(config | {"args": arguments}, {})(mixture)
    torch.testing.assert_close(outputs["audio/0"] + outputs["audio/1"], mixture, atol=1e-6, rtol=0)
    assert not torch.allclose(outputs["mask/0"], from_reference(config, {})(mixture)["mask/0"])


def test_high_and_low_frequencies_are_split_at_the_nearest_bin():
    config = HPSS_CONFIG | {"class": "benchmark.HighLowPassFilter", "args": {"high_pass_cutoff_hz": 1010}}
    outputs = from_reference(config, {})(torch.randn(2, 8000))
    low = outputs["mask/0"][:, 0, 0]
    assert low.tolist() == [1.0] * 32 + [0.0] * 225  # 1000 Hz is bin 32.


DUET_CONFIG = HPSS_CONFIG | {"class": "spatial.Duet", "args": {"num_sources": 2}}


def test_meets_the_vector_of_duet(shared):
    with np.load(shared / "reference" / "nussl" / "duet.npz") as stored:
        vector = dict(stored)
    outputs = from_reference(json.loads(str(vector["config"])), {})(torch.from_numpy(vector["input"]))
    assert set(outputs) == {"audio/0", "audio/1", "audio/2", "mask/0"}
    assert (outputs["mask/0"].numpy() == vector["output/mask/0"]).mean() > 0.999
    for index in range(3):
        difference = outputs[f"audio/{index}"].numpy() - vector[f"output/audio/{index}"]
        assert np.abs(difference).max() < TOLERANCE


@pytest.mark.parametrize(
    "arguments",
    [
        {"attenuation_min": -2, "attenuation_max": 1, "num_attenuation_bins": 20},
        {"delay_min": -1, "delay_max": 2, "num_delay_bins": 31, "delay_min_distance": 2},
        {"peak_threshold": 0.2, "attenuation_min_distance": 9, "p": 0.5, "q": 1},
    ],
)
def test_all_arguments_of_duet_have_an_effect(arguments):
    mixture = torch.randn(2, 20_000, generator=torch.Generator().manual_seed(0))
    mixture[1] += 0.7 * mixture[0]
    plain = from_reference(DUET_CONFIG, {})(mixture)
    changed = from_reference(DUET_CONFIG | {"args": {"num_sources": 2, **arguments}}, {})(mixture)
    assert not torch.equal(plain["mask/0"], changed["mask/0"])


def test_what_is_missing_or_unknown_in_duet_is_named():
    with pytest.raises(ModelError, match="num_sources"):
        from_reference(DUET_CONFIG | {"args": {}}, {})
    with pytest.raises(ModelError, match="delay_mini"):
        from_reference(DUET_CONFIG | {"args": {"num_sources": 2, "delay_mini": 0}}, {})
    with pytest.raises(ModelError, match="no weights"):
        from_reference(DUET_CONFIG, {"weight": torch.zeros(1)})


def test_weights_are_refused():
    with pytest.raises(ModelError, match="no weights"):
        from_reference(HPSS_CONFIG, {"weight": torch.zeros(1)})


def test_other_algorithms_of_nussl_are_not_claimed():
    with pytest.raises(ModelError, match="Melodia"):
        from_reference(HPSS_CONFIG | {"class": "primitive.Melodia"}, {})
