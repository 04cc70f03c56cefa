"""A denoiser around a separator of one rate: the band above, channels that belong together, kept noise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfiltfilt

from families import make_family
from soloist.config import configuration_of
from soloist.errors import UsageError
from soloist.inference import make_engine
from soloist.separators import Chunking, Denoiser, Separator, build_separator, separate_chunked
from soloist.transforms import STFT
from toy_separators import Smoother

RATE = 16000


class Scaled(Separator):
    """Takes a part of the mixture for the speech."""

    def __init__(self, gain: float = 1.0, **kwargs) -> None:
        super().__init__(sources=("speech",), sample_rate=RATE, **kwargs)
        self.gain = gain

    def estimate(self, mixture):
        return self.gain * mixture[:, None]


class Gate(Separator):
    """Takes what is loud for the speech, bin by bin."""

    def __init__(self) -> None:
        super().__init__(sources=("speech",), sample_rate=RATE)
        self.stft = STFT(512, 256, "sqrt_hann")

    def estimate(self, mixture):
        spectrum = self.stft(mixture)
        loud = spectrum.abs() > spectrum.abs().mean(dim=(1, 2, 3), keepdim=True)
        return self.stft.inverse(spectrum * loud, mixture.shape[-1])[:, None]


def noise(channels=1, seconds=1.0, rate=44100):
    return 0.1 * torch.randn(1, channels, round(seconds * rate))


def band(audio, rate, kind, frequency):
    """Part of `(..., samples)` above or below a frequency, without the ends."""
    filtered = sosfiltfilt(butter(10, frequency, kind, fs=rate, output="sos"), audio.numpy())
    return torch.from_numpy(filtered.copy())[..., rate // 5 : -rate // 5]


def rms(audio):
    return audio.double().square().mean().sqrt()


@settings(max_examples=6)
@given(
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 44099]),
    channels=st.integers(1, 3),
    samples=st.integers(1, 1500),
)
def test_estimates_add_up_to_the_mixture_of_any_rate_and_length(rate, channels, samples):
    mixture = torch.randn(2, channels, samples)
    estimates = Denoiser(Gate(), sample_rate=rate, channels=channels)(mixture)
    assert estimates.shape == (2, 2, channels, samples)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_separator_that_keeps_all_keeps_all_bands(rate, channels):
    mixture = noise(channels, rate=rate)
    speech = Denoiser(Scaled(), sample_rate=rate, channels=channels)(mixture)[:, 0]
    inside = slice(rate // 5, -rate // 5)
    assert rms((speech - mixture)[..., inside]) < 2e-3 * rms(mixture)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_above_the_band_is_the_gain_of_the_upper_half_of_the_band(rate):
    mixture = noise(rate=rate)
    speech = Denoiser(Scaled(0.25), sample_rate=rate)(mixture)[:, 0]
    for kind, frequency in (("high", 9000), ("low", 7000)):
        gain = rms(band(speech, rate, kind, frequency)) / rms(band(mixture, rate, kind, frequency))
        assert gain == pytest.approx(0.25, abs=0.01)


def test_the_gain_above_follows_the_frames():
    rate = 44100
    mixture = noise(rate=rate, seconds=2)
    mixture[..., rate:] *= 0.01
    speech = Denoiser(Gate(), sample_rate=rate)(mixture)[:, 0]
    gains = [
        rms(band(speech[..., part], rate, "high", 9000)) / rms(band(mixture[..., part], rate, "high", 9000))
        for part in (slice(0, rate), slice(rate, None))
    ]
    assert gains[0] > 0.9
    assert gains[1] < 0.05


def test_one_channel_at_the_rate_of_the_separator_is_that_of_the_separator():
    separator = make_family("gtcrn")
    mixture = noise(rate=8000)
    with torch.no_grad():
        torch.testing.assert_close(Denoiser(separator)(mixture)[:, 0], separator(mixture)[:, 0])


def test_two_channels_alike_are_as_one():
    mixture = noise()
    one = Denoiser(Gate(), sample_rate=44100)(mixture)
    two = Denoiser(Gate(), sample_rate=44100, channels=2)(mixture.expand(1, 2, -1))
    torch.testing.assert_close(two, one.expand(1, 2, 2, -1), rtol=0, atol=1e-4)


def test_a_panned_source_stays_where_it_is():
    mixture = noise(rate=RATE) * torch.tensor([0.9, -0.3])[:, None]
    speech = Denoiser(Gate(), channels=2)(mixture)[0, 0]
    torch.testing.assert_close(speech[0] * -0.3, speech[1] * 0.9, rtol=0, atol=1e-5)
    assert rms(speech) > 0.01


def test_channels_that_do_not_belong_together_are_separated_each_by_itself():
    mixture = noise(2, seconds=4, rate=RATE)
    mixture[:, 1] *= 1e-3
    joint = Denoiser(Gate(), channels=2)(mixture)[:, 0]
    alone = torch.stack([Denoiser(Gate())(mixture[:, [channel]])[:, 0, 0] for channel in (0, 1)], dim=1)
    assert rms(joint - alone) < 0.15 * rms(alone)
    assert rms((joint - alone)[:, 1]) < 0.15 * rms(alone[:, 1])


@pytest.mark.parametrize("rate", [16000, 48000])
def test_noise_is_kept_at_the_level_that_is_asked_for(rate):
    mixture = noise(rate=rate)
    least = Denoiser(Gate(), sample_rate=rate)(mixture)
    kept = Denoiser(Gate(), sample_rate=rate, strength=-20)(mixture)
    torch.testing.assert_close(kept[:, 0], least[:, 0] + 0.1 * least[:, 1], rtol=0, atol=1e-5)
    torch.testing.assert_close(kept.sum(dim=1), mixture, rtol=0, atol=1e-5)


def test_silence_is_silent_and_a_sample_is_enough():
    denoiser = Denoiser(make_family("dtln"), sample_rate=44100, channels=2)
    assert not denoiser(torch.zeros(1, 2, 5000)).any()
    assert denoiser(torch.ones(1, 2, 1)).shape == (1, 2, 2, 1)


@pytest.mark.parametrize("family", ["ulunas", "dtln"])
def test_an_engine_runs_the_network_inside(family):
    denoiser = Denoiser(make_family(family), sample_rate=22050, channels=2)
    mixture = noise(2, rate=22050)
    with torch.no_grad():
        inputs, finish = denoiser.stage(mixture)
        staged = denoiser.run_staged(inputs, finish)
        torch.testing.assert_close(staged, denoiser.estimate(mixture), rtol=0, atol=1e-6)
        run = make_engine("torch", denoiser, "cpu")
        torch.testing.assert_close(run(mixture), staged, rtol=0, atol=1e-5)


def test_chunks_begin_where_frames_of_both_rates_do():
    denoiser = Denoiser(make_family("gtcrn"), sample_rate=44100)
    hop = denoiser.separator.stride
    assert denoiser.stride * 8000 % (44100 * hop) == 0
    mixture = noise(seconds=3)
    chunking = Chunking.of(denoiser, length=44100)
    with torch.no_grad():
        chunked = separate_chunked(denoiser, mixture, chunking)
    assert chunked.shape == (1, 2, 1, mixture.shape[-1])
    torch.testing.assert_close(chunked.sum(dim=1), mixture, rtol=0, atol=1e-5)


def test_it_is_built_again_from_its_configuration():
    inner = configuration_of(Smoother, sample_rate=8000)
    config = configuration_of(Denoiser, separator=inner, sample_rate=44100, channels=2, strength=-12.0)
    denoiser = build_separator(config, "test")
    assert (denoiser.sources, denoiser.sample_rate, denoiser.channels) == (("smooth", "noise"), 44100, 2)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(UsageError, match="one channel, not of 2"):
        Denoiser(Scaled(channels=2))
    with pytest.raises(UsageError, match="strength 3 must be the level of the noise"):
        Denoiser(Scaled(), strength=3)
