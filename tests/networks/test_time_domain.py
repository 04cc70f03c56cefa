"""Properties of all networks of the TasNet family inside a separator: lengths, types, silence, chunks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.networks import ConvTasNet, DualPathRNN, TasNet
from soloist.separators import Chunking, FilterbankSeparator, build_separator, separate_chunked
from soloist.transforms import LearnedFilterbank

CONV = {"channels": 4, "hidden_channels": 6, "skip_channels": 4, "num_blocks": 3, "num_repeats": 2}
DUAL = {"channels": 4, "hidden_size": 3, "num_blocks": 2, "chunk_size": 6}
NETWORKS = {
    "conv-tasnet": (ConvTasNet, CONV),
    "causal conv-tasnet": (ConvTasNet, {**CONV, "causal": True}),
    "dual-path": (DualPathRNN, DUAL),
    "causal dual-path": (DualPathRNN, {**DUAL, "causal": True}),
    "tasnet": (TasNet, {"hidden_size": 4}),
    "causal tasnet": (TasNet, {"hidden_size": 4, "bidirectional": False}),
}


def _separator(name: str, channels: int = 1, kernel_size: int = 16) -> FilterbankSeparator:
    torch.manual_seed(0)
    kind, sizes = NETWORKS[name]
    network = kind(num_filters=8, num_outputs=2 * channels, **sizes)
    activation = "gated" if kind is TasNet else "identity"
    filterbank = LearnedFilterbank(
        8, kernel_size, channels=channels, synthesis="shared", activation=activation
    )
    return FilterbankSeparator(filterbank, network, channels=channels).eval()


@pytest.mark.parametrize("name", NETWORKS)
@given(samples=st.integers(1, 200), batch=st.integers(1, 2), channels=st.integers(1, 2))
def test_any_length_comes_back(name, samples, batch, channels):
    separator = _separator(name, channels)
    with torch.no_grad():
        estimates = separator(torch.randn(batch, channels, samples))
    assert estimates.shape == (batch, 2, channels, samples)
    assert estimates.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_optimized_estimates_are_the_same(name):
    separator, mixture = _separator(name), torch.randn(3, 1, 777)
    expected = separator(mixture).detach()
    with torch.inference_mode():
        estimates = separator.optimize()(mixture)
    assert (estimates - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_training_bears_silence(name):
    separator, mixture = _separator(name).train(), torch.randn(2, 1, 300)
    mixture[0] = 0
    mixture[1, :, :150] = 0
    estimates = separator(mixture)
    assert not estimates[0].any()
    estimates.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in separator.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert all(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_other_precisions_agree(name):
    separator, mixture = _separator(name), torch.randn(1, 1, 400)
    with torch.no_grad():
        expected = separator(mixture)
        assert torch.allclose(separator.double()(mixture.double()).float(), expected, atol=1e-4)
        separator.float()
        with torch.autocast("cpu", torch.bfloat16):
            cast = separator(mixture)
        narrow = separator.bfloat16()(mixture.bfloat16())
    assert narrow.dtype == torch.bfloat16
    for estimates in (cast, narrow):
        assert (estimates.float() - expected).norm() < 0.1 * expected.norm()


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True])
def test_the_graph_of_conv_tasnet_is_that_of_any_length_and_batch(causal):
    network = ConvTasNet(8, 4, 6, 4, num_blocks=2, num_repeats=1, causal=causal).eval()
    dynamic = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        program = torch.export.export(
            network, (torch.randn(2, 8, 51),), dynamic_shapes=({0: dynamic, 2: dynamic},)
        )
        for batch, frames in ((1, 20), (3, 126)):
            features = torch.randn(batch, 8, frames)
            assert torch.allclose(program.module()(features), network(features), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_chunks_are_glued_to_the_length_of_the_track(name):
    separator, mixture = _separator(name), torch.randn(1, 1, 5000)
    with torch.no_grad():
        estimates = separate_chunked(separator, mixture, Chunking.of(separator, length=1600))
    assert estimates.shape == (1, 2, 1, 5000)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_built_from_plain_values(name):
    kind, sizes = NETWORKS[name]
    config = {
        "class_path": "soloist.separators.FilterbankSeparator",
        "init_args": {
            "filterbank": {
                "class_path": "soloist.transforms.LearnedFilterbank",
                "init_args": {"num_filters": 8, "kernel_size": 16, "synthesis": "shared"},
            },
            "network": {
                "class_path": f"{kind.__module__}.{kind.__qualname__}",
                "init_args": {"num_filters": 8, **sizes},
            },
        },
    }
    separator = build_separator(config, "a test")
    assert isinstance(separator.network, kind)
