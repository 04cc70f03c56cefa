"""Networks of asteroid and SpeechBrain against recorded outputs of theirs."""

from __future__ import annotations

import pytest

from reference_vectors import ReferenceVector, assert_near

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
    "lstm_tasnet",
    "sudormrf",
    "sudormrf_improved",
]
SPEECHBRAIN = [
    "sepformer_2spk",
    "sepformer_1spk_16k",
    "sepformer_3spk_gap",
    "sepformer_options",
    "resepformer_2spk",
    "resepformer_batch_of_2",
]


OVERLAP_ADD = ["chunks_2src", "chunks_3src_batch", "rectangular", "reorder"]


@pytest.mark.parametrize("name", OVERLAP_ADD)
def test_meets_the_glued_chunks(name, shared):
    stored = ReferenceVector(shared / "reference" / "asteroid" / f"overlap_add_{name}.npz")
    output = stored.run()
    if "output" in stored.arrays:
        assert_near(output, stored["output"], 1e-5)
    for key, expected in stored.named("output").items():
        assert_near(output[key], expected, 1e-5)


@pytest.mark.parametrize(
    "name", [*(f"asteroid/{name}" for name in ASTEROID), *(f"sepformer/{name}" for name in SPEECHBRAIN)]
)
def test_meets_the_vector(name, shared):
    stored = ReferenceVector(shared / "reference" / f"{name}.npz")
    assert_near(stored.run(), stored["output"], 1e-5)
