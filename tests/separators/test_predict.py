import pytest
import torch
from torch import nn

from soloist.networks import TFC, SpectralNetwork, UNet
from soloist.separators import SpectralSeparator, sudormrf_design
from soloist.transforms import STFT
from toy_separators import Smoother

MODES = [("complex", "mapping"), ("complex", "masking"), ("magnitude", "mapping"), ("magnitude", "masking")]


class Mixing(SpectralNetwork):
    """One learned value for each pair of channels, and a bias that answers silence."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, spectrogram):
        return self.conv(spectrogram).abs()


def make(representation="complex", mode="mapping", normalization="none", **stft):
    torch.manual_seed(1)
    planes = 4 if representation == "complex" else 2
    return SpectralSeparator(
        STFT(64, 32, **stft),
        Mixing(planes, 3 * planes),
        sources=["a", "b", "c"],
        sample_rate=8000,
        representation=representation,
        mode=mode,
        normalization=normalization,
    ).eval()


@pytest.mark.parametrize(("representation", "mode"), MODES)
@pytest.mark.parametrize("normalization", ["none", "track", "chunk"])
@pytest.mark.parametrize("length", [1, 50, 333])
def test_a_prediction_is_what_the_separator_says(representation, mode, normalization, length):
    separator = make(representation, mode, normalization)
    mixture = 0.1 * torch.randn(2, 2, length) + 0.5
    prediction = separator.predict(mixture)
    torch.testing.assert_close(prediction.estimates, separator(mixture), atol=2e-5, rtol=1e-4)
    audio = separator.synthesize(prediction.coefficients, length)
    torch.testing.assert_close(audio, prediction.estimates)


@pytest.mark.parametrize("normalization", ["none", "track"])
@pytest.mark.parametrize("pad_mode", ["reflect", "constant"])
def test_coefficients_are_at_the_level_of_the_mixture(normalization, pad_mode):
    """What passes everything through gives the mixture's own coefficients, its mean included."""
    separator = make("complex", "masking", normalization, pad_mode=pad_mode)
    with torch.no_grad():
        separator.network.conv.weight.zero_()
        separator.network.conv.bias.fill_(1 / 3)
    mixture = 0.1 * torch.randn(2, 2, 300) + 0.5
    prediction = separator.predict(mixture)
    torch.testing.assert_close(
        prediction.coefficients.sum(dim=1), prediction.analyze(mixture), atol=1e-5, rtol=1e-4
    )


def test_masks_are_there_where_magnitudes_are_masked():
    mixture = torch.randn(2, 2, 300)
    for representation, mode in MODES:
        prediction = make(representation, mode).predict(mixture)
        assert (prediction.masks is not None) == ((representation, mode) == ("magnitude", "masking"))
    expected = prediction.masks * prediction.analyze(mixture)[:, None]
    torch.testing.assert_close(prediction.coefficients, expected)


def test_coefficients_are_analysed_and_not_synthesised_until_audio_is_wanted(monkeypatch):
    separator = make()
    calls = []
    inverse = separator.transform.inverse
    monkeypatch.setattr(separator.transform, "inverse", lambda *args: calls.append(1) or inverse(*args))
    prediction = separator.predict(torch.randn(1, 2, 300))
    prediction.coefficients.abs().mean().backward()
    assert not calls
    assert prediction.estimates is prediction.estimates
    assert len(calls) == 1


@pytest.mark.parametrize("normalization", ["none", "track"])
def test_silence_is_predicted_for_silence_beside_what_sounds(normalization):
    separator = make("magnitude", "mapping", normalization)
    prediction = separator.predict(torch.stack([torch.zeros(2, 200), torch.randn(2, 200)]))
    assert not prediction.coefficients[0].any()
    assert not prediction.estimates[0].any()
    assert prediction.coefficients[1].any()


def test_a_network_is_trained_through_its_coefficients():
    network = UNet(TFC(1), num_blocks=3, num_bins=33, internal_channels=4, output_channels=4)
    separator = SpectralSeparator(
        STFT(64, 32), network, sources=["vocals"], sample_rate=8000, normalization="track"
    )
    separator.predict(torch.randn(2, 2, 400)).coefficients.abs().square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


@pytest.mark.parametrize(
    "separator",
    [
        Smoother(normalization="track"),
        sudormrf_design(
            "improved", {"num_filters": 16, "channels": 8, "hidden_channels": 8, "num_blocks": 1}
        ).build(),
    ],
)
def test_a_separator_without_spectrograms_predicts_waveforms_only(separator):
    mixture = torch.randn(2, 1, 400)
    prediction = separator.predict(mixture)
    torch.testing.assert_close(prediction.estimates, separator(mixture))
    assert prediction.coefficients is None
    assert prediction.analyze is None


@pytest.mark.parametrize(("representation", "mode"), MODES)
def test_a_network_may_be_run_in_less_precision(representation, mode):
    separator, mixture = make(representation, mode, "track"), torch.randn(2, 2, 300)
    expected = separator.predict(mixture).coefficients
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = separator.predict(mixture)
        estimates = prediction.estimates
    assert prediction.coefficients.dtype == torch.complex64
    assert estimates.dtype == torch.float32
    assert (prediction.coefficients - expected).norm() < 0.02 * expected.norm()
    estimates.square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in separator.network.parameters())
