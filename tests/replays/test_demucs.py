"""Demucs's networks against the recorded outputs of their authors' code."""

from __future__ import annotations

import pytest

from reference_vectors import ReferenceVector, assert_near
from soloist.zoo import import_checkpoint, load

NETWORKS = [
    "demucs_time_mdx",
    "demucs_time_rewrite",
    "hdemucs_long_mag",
    "hdemucs_mmi",
    "hdemucs_multifreqs",
    "hdemucs_old_mag",
    "htdemucs_6s",
    "htdemucs_nosegment",
    "htdemucs_published",
]


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [*((name, 1e-5) for name in NETWORKS), ("htdemucs_short", 2e-5), ("hdemucs_wiener1", 2e-5)],
)
def test_networks(shared, name, tolerance):
    vector = ReferenceVector(shared / "reference" / "demucs" / f"{name}.npz")
    assert_near(vector.run(), vector["output"], tolerance)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("5a0e1d2c-133c370d.th", "htdemucs_sample"),
        ("5a0e1d2c.safetensors", "htdemucs_sample"),
        ("7c203f4e-eb8e3489.th", "hdemucs_sample"),
    ],
)
def test_files_as_published(shared, tmp_path, file, name):
    samples = shared / "reference" / "demucs" / "samples"
    folder = import_checkpoint(samples / file, tmp_path / "model", "sample")
    vector = ReferenceVector(samples / f"{name}.npz")
    separator = load(folder)
    assert_near(separator.estimate_any_length(vector["input"]), vector["output"], 2e-5)
