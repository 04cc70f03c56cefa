from itertools import combinations

import pytest
import torch
from torch.testing import assert_close

from soloist.config import build_object
from soloist.errors import ConfigError, UsageError
from soloist.losses import (
    SISDR,
    SNR,
    Combinations,
    KLDivergence,
    Loss,
    MixtureConsistency,
    MultiDomain,
    MultiResolutionComplex,
    MultiResolutionSTFT,
    Prediction,
    SpectrogramLoss,
    WaveformLoss,
    WeightedSum,
)
from soloist.losses.composition import proper_subsets
from soloist.transforms import STFT

STFT_16 = STFT(16, 8)


@pytest.fixture
def references():
    return torch.randn(2, 4, 1, 60)


@pytest.fixture
def prediction(references):
    estimates = references + 0.3 * torch.randn(2, 4, 1, 60)
    return Prediction(references.sum(dim=1), lambda: estimates, analyze=STFT_16)


@pytest.mark.parametrize(("count", "subsets"), [(2, 2), (3, 6), (4, 14), (5, 30)])
def test_there_are_as_many_proper_subsets(count, subsets):
    members = proper_subsets(count)
    assert members.shape == (subsets, count)
    assert len({tuple(row) for row in members.tolist()}) == subsets
    assert members.sum(dim=1).tolist() == sorted(members.sum(dim=1).tolist())
    assert members.sum(dim=1).min() > 0
    assert members.sum(dim=1).max() == count - 1


def test_one_source_has_no_combinations(references):
    one = references[:, :1]
    with pytest.raises(UsageError, match="at least two sources"):
        Combinations(SNR())(Prediction(one[:, 0], lambda: one), one)


def test_combinations_are_losses_of_sums(prediction, references):
    terms = Combinations(SNR()).terms(prediction, references)
    subsets = [list(subset) for size in (1, 2, 3) for subset in combinations(range(4), size)]
    for term, subset in zip(terms.unbind(1), subsets, strict=True):
        sums = (audio[:, subset].sum(dim=1, keepdim=True) for audio in (prediction.estimates, references))
        assert_close(term, SNR().compare(*sums)[:, 0])
    assert_close(Combinations(SNR())(prediction, references), terms.mean(dim=1))


def test_both_domains_are_added(prediction, references):
    spectrogram, waveform = SpectrogramLoss("mse"), SISDR()
    first, second = (Combinations(loss)(prediction, references) for loss in (spectrogram, waveform))
    expected = first + 10 * second
    assert_close(MultiDomain(spectrogram, waveform, 10.0)(prediction, references), expected)


def test_a_sum_is_weighted(prediction, references):
    l1, snr = WaveformLoss("l1"), SNR()
    expected = 0.3 * l1(prediction, references) - 2 * snr(prediction, references)
    assert_close(WeightedSum([l1, snr], [0.3, -2])(prediction, references), expected)
    assert_close(WeightedSum([l1])(prediction, references), l1(prediction, references))


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, 3.0]])
def test_a_sum_needs_a_weight_for_each_loss(weights):
    with pytest.raises(UsageError, match="a weight for each of its losses"):
        WeightedSum([SNR(), SNR()], weights)


@pytest.mark.parametrize("loss", [WaveformLoss("l1"), SNR(), SpectrogramLoss("mse", "complex", STFT_16)])
def test_what_adds_up_to_the_mixture_is_consistent(loss, references):
    mixture = references.sum(dim=1)
    consistency = MixtureConsistency(loss)
    exchanged = references + torch.tensor([0.1, -0.1, 0.2, -0.2])[:, None, None]
    expected = loss(Prediction(mixture, lambda: mixture[:, None]), mixture[:, None])
    value = consistency(Prediction(mixture, lambda: exchanged), references)
    # Rounding errors leave more than 100 dB, of varying size.
    assert (value < -100).all() if isinstance(loss, SNR) else torch.allclose(value, expected, atol=1e-5)
    lacking = consistency(Prediction(mixture, lambda: 0.9 * references), references)
    assert (lacking > expected + 1e-3).all()
    if isinstance(loss, WaveformLoss):
        assert_close(lacking, 0.1 * mixture.abs().mean(dim=(1, 2)))


def test_resolutions_are_spectral_convergence_and_log_magnitudes():
    references, estimates = torch.randn(2, 3, 2, 500), torch.randn(2, 3, 2, 500)
    loss = MultiResolutionSTFT((64, 32), (16, 10), (48, 32))
    expected = torch.zeros(2, 3)
    for n_fft, hop, window in ((64, 16, 48), (32, 10, 32)):
        how = {"window": torch.hann_window(window), "pad_mode": "constant", "return_complex": True}
        spectra = [
            torch.stft(audio.flatten(0, 2), n_fft, hop, window, **how)
            .abs()
            .clamp(min=1e-4)
            .unflatten(0, (2, 3, 2))
            for audio in (estimates, references)
        ]
        norm = (spectra[0] - spectra[1]).square().sum((2, 3, 4)).sqrt()
        expected += norm / spectra[1].square().sum((2, 3, 4)).sqrt() / 2
        expected += (spectra[0].log() - spectra[1].log()).abs().mean((2, 3, 4)) / 2
    assert_close(loss.compare(estimates, references), expected)


def test_complex_resolutions_are_the_mean_modulus_of_differences():
    references, estimates = torch.randn(2, 3, 2, 500), torch.randn(2, 3, 2, 500)
    loss = MultiResolutionComplex((64, 32), (16, 10), (48, 32))
    expected = torch.zeros(2, 3)
    for n_fft, hop, window in ((64, 16, 48), (32, 10, 32)):
        # Frame by frame, each window in the middle of its transform.
        padded = torch.nn.functional.pad(estimates - references, (n_fft // 2, n_fft // 2))
        before = (n_fft - window) // 2
        shaped = torch.nn.functional.pad(torch.hann_window(window), (before, before))
        expected += torch.fft.rfft(padded.unfold(-1, n_fft, hop) * shaped).abs().mean((2, 3, 4)) / 2
    assert_close(loss.compare(estimates, references), expected)
    assert loss.compare(estimates, estimates).abs().max() == 0


@pytest.mark.parametrize("level", [0.0, 1e-6])
def test_a_silent_reference_has_no_spectral_convergence(level):
    loss = MultiResolutionSTFT()
    estimates = torch.randn(1, 1, 1, 3000)
    references = level * torch.randn(1, 1, 1, 3000)
    loud, quiet = (loss.compare(gain * estimates, references).item() for gain in (1, 0.1))
    assert quiet < loud < 20
    assert loss.compare(references, references).item() == 0


@pytest.mark.parametrize("loss", [MultiResolutionSTFT, MultiResolutionComplex])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [((64,), "as many"), ((64, 32), "must not exceed")],
)
def test_resolutions_that_do_not_fit_are_refused(loss, sizes, message):
    with pytest.raises(UsageError, match=message):
        loss(sizes, (16, 16), (48, 48))


def test_the_divergence_is_that_of_normal_distributions():
    mean, deviation = torch.randn(2, 3, 4), torch.rand(2, 3, 4) + 0.1
    silence = torch.zeros(2, 1, 8)
    prediction = Prediction(silence, lambda: silence[:, None], latent=(mean, deviation))
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, deviation), torch.distributions.Normal(0.0, 1.0)
    ).sum(dim=(1, 2))
    assert_close(KLDivergence()(prediction, silence[:, None]), divergence)
    assert_close(KLDivergence(per_dimension=True)(prediction, silence[:, None]), divergence / 12)


def test_a_recipe_composes_them(prediction, references):
    losses = "soloist.losses"
    stft = {"class_path": "soloist.transforms.STFT", "init_args": {"n_fft": 32, "hop_length": 8}}
    spectrogram = {
        "class_path": f"{losses}.SpectrogramLoss",
        "init_args": {"distance": "mse", "representation": "complex", "transform": stft},
    }
    ratio = {"class_path": f"{losses}.SISDR", "init_args": {"stabilization": "correlation"}}
    best = {
        "class_path": f"{losses}.PermutationInvariant",
        "init_args": {"loss": ratio},
    }
    resolutions = {
        "class_path": f"{losses}.MultiResolutionSTFT",
        "init_args": {"n_ffts": [16], "hop_lengths": [4], "window_lengths": [16]},
    }
    config = {
        "class_path": f"{losses}.WeightedSum",
        "init_args": {"losses": [spectrogram, best, resolutions], "weights": [1, 0.1, 0.5]},
    }
    loss = build_object(config, "a test", Loss)
    parts = [
        SpectrogramLoss("mse", "complex", STFT(32, 8))(prediction, references),
        0.1 * build_object(best, "a test", Loss)(prediction, references),
        0.5 * MultiResolutionSTFT([16], [4], [16])(prediction, references),
    ]
    assert_close(loss(prediction, references), sum(parts))
    with pytest.raises(ConfigError, match="distance"):
        build_object({**spectrogram, "init_args": {"distance": "l3"}}, "a test", Loss)
