"""Demucs's networks against the recorded outputs of their authors' package."""

from __future__ import annotations

import pytest

from reference_vectors import ReferenceVector, assert_near

TOLERANCES = {
    "htdemucs_published": 1e-5,
    "htdemucs_6s": 1e-5,
    "htdemucs_nosegment": 1e-5,
    "htdemucs_short": 2e-5,
    "hdemucs_mmi": 1e-5,
    "hdemucs_old_mag": 1e-5,
    "hdemucs_multifreqs": 1e-5,
    "hdemucs_long_mag": 1e-5,
    "hdemucs_wiener1": 2e-5,
    "demucs_time_mdx": 1e-5,
    "demucs_time_rewrite": 1e-5,
}


@pytest.mark.parametrize("name", TOLERANCES)
def test_meets_the_vector(name, shared):
    vector = ReferenceVector(shared / "reference" / "demucs" / f"{name}.npz")
    output = vector.run()
    assert output.shape == vector["output"].shape
    assert_near(output, vector["output"], TOLERANCES[name])
