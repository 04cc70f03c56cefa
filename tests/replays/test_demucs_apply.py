"""Whole recordings by Demucs, against the recorded outputs of its authors' code."""

from __future__ import annotations

import pytest

from reference_vectors import ReferenceVector, assert_near

SMALL = ["htdemucs", "segment_power", "shifts", "nosplit_hdemucs", "bag_mdx"]
# Of twelve seconds each; how bags weigh their models is in `small_bag_mdx`, too.
LONG = [
    pytest.param("htdemucs_12s", marks=pytest.mark.slow),
    pytest.param("bag_ft_12s", marks=[pytest.mark.slow, pytest.mark.nightly]),
]


@pytest.mark.parametrize("name", [*(f"small_{name}" for name in SMALL), *LONG])
def test_meets_the_vector(name, shared):
    vector = ReferenceVector(shared / "reference" / "demucs" / f"apply_{name}.npz")
    output = vector.run(vector["input_int8"])
    if "output_index" in vector.arrays:
        assert output.shape[-1] == vector.config["whole_output_length"]
        energy = output.double().square().mean(dim=-1)[0]
        assert_near(energy, energy.new_tensor(vector.config["whole_output_mean_square"]), 1e-5)
        output = output[..., vector["output_index"].long()]
    assert_near(output, vector["output"], 1e-5)


def test_recordings_may_be_samples(shared):
    vector = ReferenceVector(shared / "reference" / "demucs" / "apply_small_nosplit_hdemucs.npz")
    assert_near(vector.run(vector["input_int8"].numpy() / 128), vector["output"], 1e-5)
