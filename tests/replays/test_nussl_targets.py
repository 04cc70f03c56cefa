"""Training targets of nussl's networks against those that its code computed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from replays import from_reference
from soloist.errors import ModelError

CONFIG = {"system": "nussl 1.1.9", "kind": "tf_transforms", "stft": [64, 16, "sqrt_hann"]}


def test_targets_are_those_of_the_original(shared):
    with np.load(shared / "reference/nussl/tf_transforms.npz") as vector:
        arrays = {name: np.asarray(vector[name]) for name in vector.files}
    config = json.loads(str(arrays["config"]))
    targets = from_reference(config, {})(*(torch.from_numpy(arrays[name]) for name in ("input", "sources")))
    expected = {name[7:]: value for name, value in arrays.items() if name.startswith("output/")}
    assert targets.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(targets[name].numpy(), value, rtol=0, atol=1e-7 * value.max(), msg=name)


def test_what_sources_share_belongs_to_none():
    source = torch.randn(1, 200)
    targets = from_reference(CONFIG, {})(2 * source, torch.stack([source, source]))
    assert not targets["msa/ideal_binary_mask"].any()
    half = targets["msa/mix_magnitude"][..., None] / 2
    assert_close(targets["psa/source_magnitudes"], half.expand(*half.shape[:3], 2))


def test_weights_are_over_all_points_of_all_channels():
    sources = torch.randn(2, 2, 200)
    weights = from_reference(CONFIG, {})(sources.sum(0), sources)["msa/weights"]
    frequency, frames, _ = weights.shape
    assert weights.square().sum().item() == pytest.approx(frequency * frames, rel=1e-4)


def test_they_have_no_weights():
    with pytest.raises(ModelError, match="no weights, but were given a"):
        from_reference(CONFIG, {"a": torch.zeros(1)})
