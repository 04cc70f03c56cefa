"""SuDoRM-RF against the recorded outputs of its authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reference_vectors import FIXTURES, ReferenceVector, assert_near
from replays import from_reference
from soloist.errors import ModelError
from soloist.zoo.importers import recognize

NETWORKS = ["original", "original_one_source", "improved_short", "groupcomm", "causal"]
OUTSIDE = ["attentive", "improved"]


def fixture(name):
    return ReferenceVector(FIXTURES / "sudormrf" / f"{name}.npz")


@pytest.mark.parametrize("name", NETWORKS)
def test_meets_the_fixture(name):
    vector = fixture(name)
    assert_near(vector.run(), vector["output"], 2e-5)


@pytest.mark.parametrize("name", OUTSIDE)
def test_meets_the_vector(name, shared):
    vector = ReferenceVector(shared / "reference" / "sudormrf" / f"{name}.npz")
    assert_near(vector.run(), vector["output"], 2e-5)


@pytest.mark.parametrize("as_list", [False, True])
def test_meets_mixture_consistency(as_list):
    vector = fixture("mixture_consistency")
    given = {key: vector[f"input/{key}"] for key in ("estimates", "mixture")}
    outputs = vector.run(list(given.values()) if as_list else given)
    assert outputs.keys() == vector.named("output").keys()
    for key, expected in vector.named("output").items():
        assert (outputs[key] - expected).abs().max() < 1e-6


def test_an_original_with_as_many_channels_as_filters_has_no_layer_between_them():
    vector = fixture("original_one_source")
    wide = {**vector.config, "out_channels": vector.config["enc_num_basis"]}
    state = {key: value for key, value in _widened(vector.state, 12, 16).items() if "reshape" not in key}
    output = from_reference(wide, state)(vector["input"])
    assert output.shape == vector["output"].shape
    recognized = recognize(state)
    with torch.no_grad():
        again = recognized.separator.synthesize(vector["input"])[:, :, 0]
    assert torch.equal(output, again)


def _widened(state, size, wider):
    """Weights whose axes of one size have another, with ones at their ends."""
    return {
        key: torch.from_numpy(
            np.pad(
                value.numpy(),
                [(0, wider - size if length == size else 0) for length in value.shape],
                constant_values=1,
            )
        )
        for key, value in state.items()
    }


def test_weights_may_be_numpy_arrays():
    vector = fixture("improved_short")
    arrays = {key: value.numpy() for key, value in vector.state.items()}
    assert_near(from_reference(vector.config, arrays)(vector["input"]), vector["output"], 2e-5)


def test_weights_that_do_not_fit_are_refused_in_one_line():
    vector = fixture("improved_short")
    with pytest.raises(ModelError, match="SuDoRM-RF") as caught:
        from_reference({**vector.config, "out_channels": 13}, vector.state)
    assert "\n" not in str(caught.value)
