"""One spectral separator on every kind of transform, from a recipe to a separated file."""

from __future__ import annotations

import json

import pytest
import soundfile
import torch
import yaml

from soloist.errors import ConfigError, UsageError
from soloist.estimation import WienerEM
from soloist.networks import TFC, RecurrentNetwork, SpectralNetwork, UNet
from soloist.separators import (
    Chunking,
    ClusteringSeparator,
    SpectralSeparator,
    build_separator,
    separate_chunked,
)
from soloist.transforms import LearnedFilterbank, SliCQMatrix
from soloist.zoo import load

pytest_plugins = ["cli.conftest", "training.conftest"]

RATE = 1000
MATRIX = {
    "class_path": "soloist.transforms.SliCQMatrix",
    "init_args": {"scale": "mel", "bins": 8, "fmin": 40.0, "sample_rate": RATE},
}
FILTERS = {
    "class_path": "soloist.transforms.LearnedFilterbank",
    "init_args": {"num_filters": 9, "kernel_size": 20, "num_sources": 2},
}
TFC_TDF = {
    "class_path": "soloist.networks.UNet",
    "init_args": {
        "block": {"class_path": "soloist.networks.TFCTDF", "init_args": {"layers": 1}},
        "input_channels": 2,
        "output_channels": 4,
        "internal_channels": 2,
        "num_blocks": 3,
        "num_bins": 9,
    },
}
MASKS = {
    "class_path": "soloist.networks.RecurrentNetwork",
    "init_args": {
        "inputs": 1,
        "outputs": 2,
        "num_bins": 9,
        "hidden_size": 4,
        "layers": 1,
        "activation": "sigmoid",
    },
}
COMPOSITIONS = {
    "TFC-TDF on a sliCQ": {"transform": MATRIX, "network": TFC_TDF},
    "masks on a sliCQ": {
        "transform": MATRIX,
        "network": MASKS,
        "representation": "magnitude",
        "mode": "masking",
    },
    "masks on learned filters": {
        "transform": FILTERS,
        "network": MASKS,
        "representation": "magnitude",
        "mode": "masking",
        "normalization": "track",
    },
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_recipe_is_all_that_a_composition_needs(soloist, recipe_values, hummers, tmp_path, name):
    """Training, the saved model and the separation of a file, by the command line."""
    values = {
        **recipe_values,
        "separator": {
            "class_path": "soloist.separators.SpectralSeparator",
            "init_args": {
                "sources": ["talker1", "talker2"],
                "sample_rate": RATE,
                "channels": 1,
                "ordered": False,
                **COMPOSITIONS[name],
            },
        },
        "trainer": {**recipe_values["trainer"], "max_epochs": 1},
    }
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(values))
    result = soloist("train", recipe, "-o", run, "-q")
    assert result.code == 0, result.err
    targets = json.loads((run / "results.json").read_text())["tests"]["held out"]["targets"]
    assert targets["all"]["si_sdri"]["mean"] > -30
    clip = next(hummers.rglob("*.wav"))
    result = soloist("separate", clip, "-n", run / "model", "-o", tmp_path / "out")
    assert result.code == 0, result.err
    stems = sorted((tmp_path / "out").rglob("talker*.wav"))
    assert [soundfile.info(stem).frames for stem in stems] == [soundfile.info(clip).frames] * 2
    separator = load(run / "model")
    for length in (1, 7, 500):
        estimates = separator(torch.randn(2, 1, length))
        assert estimates.shape == (2, 2, 1, length)
        assert estimates.isfinite().all()


class Halves(SpectralNetwork):
    """Gives half of its input to each of two sources."""

    def forward(self, spectrogram):
        return torch.cat([spectrogram / 2] * 2, dim=1)


def on_matrix(network: SpectralNetwork, **options) -> SpectralSeparator:
    transform = SliCQMatrix("bark", 14, 200.0, sample_rate=8000)
    options = {"sources": ["a", "b"], "sample_rate": 8000, "channels": 2, **options}
    return SpectralSeparator(transform, network, **options).eval().requires_grad_(False)


@pytest.mark.parametrize("representation", ["complex", "magnitude"])
@pytest.mark.parametrize("normalization", ["none", "track"])
@pytest.mark.parametrize("length", [1, 100, 3000])
def test_what_a_network_passes_through_a_matrix_comes_back(representation, normalization, length):
    separator = on_matrix(Halves(), representation=representation, normalization=normalization)
    mixture = 0.3 * torch.randn(2, 2, length) + 0.1
    torch.testing.assert_close(separator(mixture).sum(dim=1), mixture, atol=1e-5, rtol=0)
    prediction = separator.predict(mixture)
    torch.testing.assert_close(prediction.estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)
    analysed = prediction.analyze(mixture)
    torch.testing.assert_close(prediction.coefficients.sum(dim=1), analysed, atol=1e-5, rtol=0)


def test_a_wiener_filter_on_a_matrix_adds_up():
    separator = on_matrix(Halves(), representation="magnitude", wiener=WienerEM(1))
    mixture = torch.randn(1, 2, 2000)
    torch.testing.assert_close(separator(mixture).sum(dim=1), mixture, atol=2e-2, rtol=0)


def matrix_unet() -> SpectralSeparator:
    torch.manual_seed(0)
    network = UNet(TFC(1), output_channels=8, internal_channels=4, num_blocks=3, num_bins=15)
    return on_matrix(network, chunk_frames=2000)


def test_chunks_of_a_matrix_with_the_receptive_field_around_them_give_the_whole_track():
    separator = matrix_unet()
    assert separator.stride % separator.transform.hop_length == 0
    mixture = torch.randn(1, 2, 20_000)
    trim = -(-separator.receptive_field // separator.stride) * separator.stride
    chunking = Chunking(2 * trim + 8 * separator.stride, 0, trim, stride=separator.stride)
    assert chunking.count(20_000) > 4
    whole = separator(mixture)
    chunked = separate_chunked(separator, mixture, chunking)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=1e-5 * whole.abs().max().item())


def test_a_change_reaches_no_farther_than_the_receptive_field_on_a_matrix():
    separator = matrix_unet()
    field, at = separator.receptive_field, 6000
    mixture = torch.randn(1, 2, 12_001)
    changed = mixture.clone()
    changed[..., at] += 100
    moved = ((separator(changed) - separator(mixture)).abs() > 1e-4).any(dim=(0, 1, 2)).nonzero()
    assert 0.3 * field < (moved - at).abs().max() <= field


def test_a_causal_network_on_a_matrix_looks_ahead_no_farther_than_it_says():
    network = RecurrentNetwork(2, 4, num_bins=15, hidden_size=4, layers=1, bidirectional=False)
    separator = on_matrix(network, representation="magnitude", mode="masking")
    at, mixture = 5000, torch.randn(1, 2, 9000)
    changed = mixture.clone()
    changed[..., at:] = torch.randn(1, 2, 4000)
    first = (separator(changed) - separator(mixture)).abs().amax(dim=(0, 1, 2)).gt(1e-4).nonzero().min()
    assert 0 < at - first <= separator.lookahead


def on_filters(**options) -> SpectralSeparator:
    torch.manual_seed(0)
    filterbank = LearnedFilterbank(16, 20, channels=2, num_sources=2, causal=options.pop("causal", False))
    network = RecurrentNetwork(1, 4, num_bins=16, hidden_size=4, layers=1, bidirectional=False)
    options = {"representation": "magnitude", "mode": "masking", "normalization": "track", **options}
    common = {"sources": ["a", "b"], "sample_rate": 8000, "channels": 2}
    return SpectralSeparator(filterbank, network, **common, **options).eval()


@pytest.mark.parametrize("representation", ["magnitude", "decibels"])
@pytest.mark.parametrize("length", [1, 333])
def test_a_loss_sees_the_estimates_of_learned_filters_and_no_coefficients(representation, length):
    separator = on_filters(representation=representation)
    mixture = 0.3 * torch.randn(2, 2, length) + 0.5
    mixture[0] = 0
    prediction = separator.predict(mixture)
    torch.testing.assert_close(prediction.estimates, separator(mixture))
    assert not prediction.estimates[0].any()
    assert prediction.analyze is prediction.coefficients is prediction.masks is None
    prediction.estimates.square().sum().backward()
    assert all(
        part.grad.any() for part in (separator.transform.analysis.weight, separator.network.head.weight)
    )


def test_mapped_magnitudes_of_learned_filters_keep_the_sign():
    filterbank = LearnedFilterbank(16, 20, num_sources=2)
    options = {"sources": ["a", "b"], "sample_rate": 8000, "channels": 1, "representation": "magnitude"}
    separator = SpectralSeparator(filterbank, Halves(), **options)
    features = torch.randn(2, 1, 16, 9)
    expected = (features / 2)[:, None].expand(-1, 2, -1, -1, -1)
    torch.testing.assert_close(separator.estimate_coefficients(features), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_learned_filters_look_ahead_no_farther_than_they_say(causal):
    separator = on_filters(causal=causal, normalization="none")
    at, mixture = 500, torch.randn(1, 2, 900)
    changed = mixture.clone()
    changed[..., at:] = torch.randn(1, 2, 400)
    first = (separator(changed) - separator(mixture)).abs().amax(dim=(0, 1, 2)).gt(1e-5).nonzero().min()
    assert separator.lookahead == (10 if causal else 20)
    assert 0 < at - first <= separator.lookahead


def test_real_coefficients_have_no_complex_representation_and_no_wiener_filter():
    for options in ({"representation": "complex"}, {"wiener": WienerEM(1)}):
        with pytest.raises(UsageError, match="LearnedFilterbank has real coefficients: set representation"):
            on_filters(**options)


def test_learned_filters_are_not_clustered():
    network = RecurrentNetwork(1, 3, num_bins=16, hidden_size=4)
    options = {"sources": ["a", "b"], "sample_rate": 8000, "embedding_size": 3}
    with pytest.raises(UsageError, match="LearnedFilterbank"):
        ClusteringSeparator(LearnedFilterbank(16, 20), network, **options)


def test_ragged_blocks_are_refused():
    ragged = {"class_path": "soloist.transforms.SliCQ", "init_args": {"sample_rate": RATE}}
    arguments = {"sources": ["a"], "sample_rate": RATE, "transform": ragged, "network": MASKS}
    config = {"class_path": "soloist.separators.SpectralSeparator", "init_args": arguments}
    with pytest.raises(ConfigError, match="Not a valid subclass of SpectralTransform"):
        build_separator(config, "a test")
