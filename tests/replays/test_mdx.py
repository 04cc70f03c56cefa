"""MDX23C, SCNet and MDX-Net against the recorded outputs of their authors' code."""

from __future__ import annotations

import pytest

from reference_vectors import ReferenceVector, assert_near

WAVEFORMS = [
    "mdx23c/batchnorm_relu_6stems_3blocks",
    "mdx23c/groupnorm_elu_target",
    "mdx23c/instancenorm_2stems",
    "mdx23c/nonorm_scale_1x2",
    "scnet/large_split_2stems_unnormalized",
    "scnet/masked_4stems",
    "scnet/official_normalised_spectrum",
    "scnet/small_4stems",
    "scnet/tran_4stems",
    "scnet/xl_mono_stride248",
]
NETWORKS = [f"mdxnet/net_{name}" for name in ("batchnorm", "groupnorm", "no_tdf", "single_linear_bias")]
TRACKS = [
    "mdx23c/demix_8s",
    "mdx23c/audio_separator_3s",
    "scnet/demix_normalised_4s",
    "mdxnet/challenge_demix_and_mixer",
    "mdxnet/separate_default",
    "mdxnet/separate_denoise_no_overlap",
    "mdxnet/separate_hop1024",
    "mdxnet/separate_loud_instrumental_compensate",
    "mdxnet/separate_other_segment_size",
]


def vector_of(shared, name):
    return ReferenceVector(shared / "reference" / f"{name}.npz")


@pytest.mark.parametrize("name", [*WAVEFORMS, *NETWORKS])
def test_networks(shared, name):
    vector = vector_of(shared, name)
    assert_near(vector.run(), vector["output"], 1e-5)


@pytest.mark.parametrize("name", TRACKS)
def test_whole_tracks(shared, name):
    vector = vector_of(shared, name)
    outputs = vector.run()
    for key, expected in vector.named("output").items():
        assert_near(outputs[key].to(expected.dtype), expected, 1e-5)
