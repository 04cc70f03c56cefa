import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.transforms import STFT


@given(
    samples=st.integers(1, 3000),
    size=st.sampled_from([8, 31, 64, 100, 255, 512, 1024]),
    part=st.sampled_from([1.4, 2, 3, 4, 8]),
    window=st.sampled_from(["hann", "sqrt_hann", "hamming", "blackman"]),
    pad_mode=st.sampled_from(["reflect", "constant"]),
    scaled=st.booleans(),
    extent=st.sampled_from(["centred", "full"]),
)
def test_any_length_is_reconstructed(samples, size, part, window, pad_mode, scaled, extent):
    stft = STFT(size, int(size // part), window, pad_mode, scaled, extent=extent)
    audio = torch.rand(2, 2, samples, generator=torch.Generator().manual_seed(samples)) * 2 - 1
    coefficients = stft(audio)
    assert coefficients.shape == (2, 2, stft.num_bins, stft.num_frames(samples))
    torch.testing.assert_close(stft.inverse(coefficients, samples), audio, atol=2e-6, rtol=0)


def test_frames_are_those_of_the_definition():
    stft = STFT(64, 16)
    audio = np.random.default_rng(0).standard_normal(160)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    frame = np.fft.rfft(audio[48 - 32 : 48 + 32] * window)
    computed = stft(torch.from_numpy(audio)[None, None])[0, 0, :, 3]
    np.testing.assert_allclose(computed.numpy(), frame, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 16, 17, 160])
def test_full_extent_is_every_frame_that_touches_the_signal(samples):
    stft = STFT(64, 16, extent="full")
    audio = torch.randn(1, 1, samples, dtype=torch.float64)
    padded = torch.nn.functional.pad(audio[0, 0], (64, 128))
    window = torch.hann_window(64, dtype=torch.float64)
    starts = range(0, samples + 64, 16)
    frames = torch.stack([torch.fft.rfft(padded[start : start + 64] * window) for start in starts], dim=-1)
    torch.testing.assert_close(stft(audio)[0, 0], frames, rtol=0, atol=1e-5)
    assert len(starts) == stft.num_frames(samples)
    assert stft.num_frames(stft.length_of(20)) == 20 < stft.num_frames(stft.length_of(20) + 1)


def test_an_unknown_extent_is_refused():
    with pytest.raises(UsageError, match="extent 'half' is none of centred, full"):
        STFT(64, 16, extent="half")


@given(samples=st.integers(1, 900), length=st.integers(32, 64), scaled=st.booleans())
def test_a_window_may_be_shorter_than_the_transform(samples, length, scaled):
    stft = STFT(64, 16, scaled=scaled, window_length=length)
    audio = torch.rand(1, 1, samples, generator=torch.Generator().manual_seed(samples)) * 2 - 1
    coefficients = stft(audio)
    assert coefficients.shape == (1, 1, 33, stft.num_frames(samples))
    torch.testing.assert_close(stft.inverse(coefficients, samples), audio, atol=2e-6, rtol=0)


def test_a_window_that_leaves_gaps_or_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"hop_length 16 must lie in 1\.\.15"):
        STFT(64, 16, window_length=21)
    with pytest.raises(UsageError, match="window_length 65 must not exceed n_fft, which is 64"):
        STFT(64, 16, window_length=65)


def test_a_scaled_sinusoid_has_half_its_amplitude():
    stft = STFT(512, 128, "sqrt_hann", "constant", scaled=True)
    audio = 0.8 * torch.cos(2 * torch.pi * 32 / 512 * torch.arange(8192.0))
    assert abs(stft(audio[None, None])[0, 0, 32, 30].abs().item() - 0.4) < 1e-3


def test_gradients_flow_through_both_ways():
    stft = STFT(32, 8)
    audio = torch.randn(1, 1, 50, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda signal: stft.inverse(stft(signal) * (1 + 0.5j), 50), audio)


@pytest.mark.parametrize("hop", [0, 49])
def test_a_hop_that_leaves_gaps_is_refused(hop):
    with pytest.raises(UsageError, match="hop_length"):
        STFT(64, hop)


def test_an_unknown_window_is_refused():
    with pytest.raises(UsageError, match="kaiser"):
        STFT(64, 16, "kaiser")


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("samples", [8000, 8192])
def test_a_sinusoid_has_its_amplitude_in_the_spectrogram(samples, scaled):
    stft = STFT(512, 128, scaled=scaled)
    audio = 0.8 * torch.cos(2 * torch.pi * 32 / 512 * torch.arange(float(samples)))
    (picture,) = stft.spectrogram(stft(audio[None, None]), samples)
    assert picture.shape == (1, 1, stft.num_bins, -(-samples // 128))
    assert abs(float(picture[0, 0, 32, 30]) - 0.8) < 1e-3
    assert stft.bin_frequencies(8000)[32] == 500


def test_nothing_beyond_its_reach_is_seen():
    stft = STFT(64, 16)
    audio = torch.randn(1, 1, 1000, dtype=torch.float64)
    changed = audio.clone()
    changed[..., 500] += 1
    gains = torch.linspace(0.1, 2, stft.num_bins, dtype=torch.float64)[:, None]
    first, second = (stft.inverse(stft(signal) * gains, 1000) for signal in (audio, changed))
    places = (second - first)[0, 0].abs().gt(1e-12).nonzero()[:, 0]
    assert stft.reach - 16 <= int((places - 500).abs().max()) <= stft.reach
