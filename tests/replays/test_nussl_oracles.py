"""nussl's oracles against their recorded outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from replays import from_reference
from soloist.errors import ModelError

CONFIG = {
    "system": "nussl 1.1.9",
    "kind": "classical",
    "class": "benchmark.IdealRatioMask",
    "args": {},
    "sample_rate": 16000,
    "stft": [512, 128, "sqrt_hann"],
}


@pytest.mark.parametrize(
    "name", ["ideal_binary_mask", "ideal_ratio_mask_msa", "ideal_ratio_mask_psa", "wiener_filter"]
)
def test_meets_the_vector(name, shared):
    with np.load(shared / "reference" / "nussl" / f"{name}.npz") as stored:
        vector = dict(stored)
    oracle = from_reference(json.loads(str(vector["config"])), {})
    outputs = oracle(torch.from_numpy(vector["input"]), torch.from_numpy(vector["sources"]))
    assert set(outputs) == {"audio/0", "audio/1", "mask/0"}
    for key, output in outputs.items():
        expected = vector[f"output/{key}"]
        assert output.shape == expected.shape
        assert np.abs(output.numpy() - expected).max() < 1e-6


def test_any_number_of_stereo_sources():
    sources = torch.randn(3, 2, 5000, generator=torch.Generator().manual_seed(0))
    outputs = from_reference(CONFIG, {})(sources.sum(dim=0), sources)
    total = sum(outputs[f"audio/{index}"] for index in range(3))
    torch.testing.assert_close(total, sources.sum(dim=0), atol=1e-3, rtol=0)
    assert outputs["mask/0"].shape == (257, 41, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"args": {"aproach": "msa"}}, "aproach"),
        ({"args": {"approach": "phase"}}, "psa or msa"),
        ({"stft": [512, 128, "kaiser"]}, "kaiser"),
    ],
)
def test_what_nussl_does_not_have_is_named(changes, message):
    with pytest.raises(ModelError, match=message):
        from_reference(CONFIG | changes, {})


def noise(count=2, channels=1):
    """Sources `(count, channels, samples)`."""
    return torch.randn(count, channels, 4000, generator=torch.Generator().manual_seed(1))


def test_what_sources_share_belongs_to_none():
    source = noise(1)
    config = CONFIG | {"class": "benchmark.IdealBinaryMask", "args": {"mask_type": "soft"}}
    outputs = from_reference(config, {})(2 * source[0], source.repeat(2, 1, 1))
    assert not outputs["mask/0"].any()


def test_the_range_of_phase_sensitive_masks_can_be_given():
    sources = noise()
    wide = CONFIG | {"args": {"range_min": -10, "range_max": 10, "mask_threshold": 0.2}}
    masks = [from_reference(config, {})(sources.sum(dim=0), sources)["mask/0"] for config in (CONFIG, wide)]
    assert masks[0].min() >= 0
    assert masks[1].min() < 0


@pytest.mark.parametrize("arguments", [{"iterations": 3}, {"use_softmask": False}, {"eps": 1e-2}])
def test_arguments_of_the_wiener_filter_have_an_effect(arguments):
    sources = noise(channels=2)
    config = CONFIG | {"class": "benchmark.WienerFilter"}
    plain = from_reference(config, {})(sources.sum(dim=0), sources)["mask/0"]
    changed = from_reference(config | {"args": arguments}, {})(sources.sum(dim=0), sources)["mask/0"]
    assert not torch.allclose(plain, changed, atol=1e-4)


def test_binary_masks_of_the_wiener_filter_give_each_point_to_one_source():
    sources = noise(3)
    config = CONFIG | {"class": "benchmark.WienerFilter", "args": {"mask_type": "binary"}}
    outputs = from_reference(config, {})(sources.sum(dim=0), sources)
    assert set(outputs["mask/0"].unique().tolist()) == {0.0, 1.0}
    total = sum(outputs[f"audio/{index}"] for index in range(3))
    torch.testing.assert_close(total, sources.sum(dim=0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "rectangular"])
def test_all_windows_of_nussl_are_there(window):
    sources = noise()
    config = CONFIG | {"stft": [256, 64, window], "args": {"approach": "msa"}}
    outputs = from_reference(config, {})(sources.sum(dim=0), sources)
    total = outputs["audio/0"] + outputs["audio/1"]
    torch.testing.assert_close(total, sources.sum(dim=0), atol=1e-3, rtol=0)


def test_the_mixture_as_estimate_is_copied():
    mixture = noise()[0]
    config = CONFIG | {"class": "benchmark.MixAsEstimate", "args": {"num_sources": 3}}
    outputs = from_reference(config, {})(mixture)
    assert set(outputs) == {"audio/0", "audio/1", "audio/2"}
    assert all(torch.equal(output, mixture) for output in outputs.values())


def test_weights_are_refused():
    with pytest.raises(ModelError, match="no weights"):
        from_reference(CONFIG, {"weight": torch.zeros(1)})
