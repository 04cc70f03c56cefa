"""Networks of asteroid and SpeechBrain against recorded outputs of theirs."""

from __future__ import annotations

import pytest
import torch

from reference_vectors import ReferenceVector, assert_near
from soloist.networks import ResourceEfficientSepFormer

ASTEROID = [
    "convtasnet_analytic_free",
    "convtasnet_causal_cgln_softmax",
    "convtasnet_causal_cln",
    "convtasnet_k20_10blocks",
    "convtasnet_noskip_sigmoid_encrelu",
    "convtasnet_relu_1src_16k",
    "convtasnet_relu_8k",
    "convtasnet_stft",
    "dccrnet_mini_2src",
    "dccrnet_narrow",
    "dcunet_large20_narrow",
    "dcunet_mini_trim",
    "demask",
    "dprnn_ks2",
    "dprnn_ks16_1src",
    "dprnn_mulcat_relu_oddchunk",
    "dprnn_unidirectional_cln_gru",
    "dptnet_1src",
    "dptnet_heads_not_dividing",
    "dptnet_hop_not_half",
]
SPEECHBRAIN = [
    "sepformer_2spk",
    "sepformer_1spk_16k",
    "sepformer_3spk_gap",
    "sepformer_options",
    "resepformer_2spk",
    "resepformer_batch_of_2",
]


@pytest.mark.parametrize(
    "name", [*(f"asteroid/{name}" for name in ASTEROID), *(f"sepformer/{name}" for name in SPEECHBRAIN)]
)
def test_meets_the_vector(name, shared):
    stored = ReferenceVector(shared / "reference" / f"{name}.npz")
    assert_near(stored.run(), stored["output"], 1e-5)


@torch.no_grad()
def test_the_memory_sees_one_recording_at_a_time():
    network = ResourceEfficientSepFormer(8, 2, 5, 2, 1, 1, 2, 12).eval()
    features = torch.rand(3, 8, 23)
    alone = torch.cat([network(item[None]) for item in features])
    torch.testing.assert_close(network(features), alone, rtol=0, atol=1e-6)
