"""nussl's oracles are reproduced from what they recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from soloist.errors import ModelError
from soloist.zoo.importers import from_reference

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
    [({"args": {"aproach": "msa"}}, "aproach"), ({"stft": [512, 128, "kaiser"]}, "kaiser")],
)
def test_what_nussl_does_not_have_is_named(changes, message):
    with pytest.raises(ModelError, match=message):
        from_reference(CONFIG | changes, {})


def test_weights_are_refused():
    with pytest.raises(ModelError, match="no weights"):
        from_reference(CONFIG, {"weight": torch.zeros(1)})
