"""Streams frame by frame give what the whole recording gives, as late as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from families import make_family
from soloist.separators import Denoiser, DenoiserStream, FrameStep, FrameStream, find_causal
from soloist.separators.frame_stream import run_step
from toy_streams import two_frames

FAMILIES = ["gtcrn", "ulunas", "dtln", "sudormrf-causal"]


def causal(name):
    separator = make_family(name)
    separator.normalization = "none"
    return separator


def begin(separator, channels=1, frames=1):
    step = FrameStep(separator)
    return FrameStream(separator, step, run_step(step), channels, frames)


def push_all(stream, audio, lengths=(17, 1, 64)):
    """All estimates of audio `(channels, samples)`, and the most samples that they were behind."""
    pieces, position, given_back, behind, turn = [], 0, 0, 0, 0
    while position < audio.shape[1]:
        block = audio[:, position : position + lengths[turn % len(lengths)]]
        pieces.append(stream.push(block))
        position, turn = position + block.shape[1], turn + 1
        given_back += pieces[-1].shape[-1]
        behind = max(behind, position - given_back)
    return np.concatenate([*pieces, stream.finish()], axis=-1), behind


def whole(separator, audio):
    with torch.no_grad():
        return separator(torch.from_numpy(audio)[None])[0].numpy()


def noise(channels, samples):
    return (0.1 * np.random.default_rng(samples).standard_normal((channels, samples))).astype(np.float32)


def check(separator, stream, audio, **options):
    """The stream gives the estimates of the whole, no later than it says; gives how late."""
    expected = whole(separator, audio)
    found, behind = push_all(stream, audio, **options)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert behind <= stream.latency
    return behind


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("frames", [1, 3])
def test_a_stream_gives_what_the_whole_gives_and_is_as_late_as_it_says(name, frames):
    separator = causal(name)
    stream = begin(separator, frames=frames)
    assert check(separator, stream, noise(1, 1500)) == stream.latency
    assert begin(separator).latency <= separator.lookahead


@settings(max_examples=10)
@given(
    name=st.sampled_from(FAMILIES),
    samples=st.integers(1, 300),
    frames=st.integers(1, 5),
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4),
)
def test_lengths_and_blocks_change_nothing(name, samples, frames, lengths):
    separator = causal(name)
    check(separator, begin(separator, frames=frames), noise(1, samples), lengths=lengths)


@pytest.mark.parametrize(
    "options",
    [
        {"representation": "magnitude", "mode": "mapping"},
        {"representation": "decibels", "mode": "masking", "channels": 2},
        {"representation": "complex", "mode": "masking", "channels": 2, "plane_order": "channels"},
        {"representation": "complex", "mode": "mapping", "channels": 2},
        {"representation": "complex", "mode": "complex_masking", "channels": 2, "plane_order": "channels"},
        {"hop_length": 16, "stft": {"pad_mode": "constant", "window": "hamming"}},
        {"n_fft": 60, "hop_length": 24, "stft": {"window_length": 50, "orthonormal": True}},
    ],
)
def test_every_kind_of_spectral_separator_is_streamed(options):
    separator = two_frames(**options)
    check(separator, begin(separator, separator.channels, 2), noise(separator.channels, 777))


def test_channels_are_streams_of_their_own():
    separator, audio = two_frames(channels=2), noise(3, 400)
    found, _ = push_all(begin(separator, channels=3), audio)
    first, last = whole(separator, audio[:2]), whole(separator, audio[[2, 2]])
    expected = np.concatenate([first, last.mean(axis=1, keepdims=True)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_level_so_far_takes_the_place_of_that_of_the_track():
    separator, audio = make_family("sudormrf-causal"), noise(1, 16000)
    assert separator.normalization == "track"
    found, _ = push_all(begin(separator, frames=8), 1000 * audio)
    expected = whole(separator, 1000 * audio)[..., 8000:]
    assert np.abs(found[..., 8000:] - expected).max() < 0.05 * np.abs(expected).max()


def test_consistent_estimates_add_up_to_the_mixture():
    separator, audio = causal("sudormrf-causal"), noise(1, 500)
    separator.consistency = "uniform"
    assert check(separator, begin(separator, frames=2), audio) == 20
    np.testing.assert_allclose(push_all(begin(separator), audio)[0].sum(axis=0), audio, atol=1e-6)


def test_separators_that_need_more_than_the_past_are_found():
    assert find_causal(causal("gtcrn")) is not None
    assert find_causal(Denoiser(causal("gtcrn"))) is not None
    for name in ("sudormrf-improved", "gtcrn"):
        separator = make_family(name)
        separator.normalization = "chunk"
        assert find_causal(separator) is None


def denoising(rate, channels=1, strength=None):
    inner = causal("gtcrn")
    denoiser = Denoiser(inner, sample_rate=rate, channels=channels, strength=strength).eval()
    return denoiser, DenoiserStream(denoiser, begin(inner, channels))


def test_a_denoiser_at_its_own_rate_is_streamed_exactly():
    denoiser, stream = denoising(8000, strength=-20)
    check(denoiser, stream, noise(1, 1000))
    assert stream.latency == 63


@pytest.mark.parametrize(("rate", "channels"), [(24000, 1), (11025, 2), (6000, 1)])
def test_a_denoiser_at_another_rate_adds_up_and_is_aligned(rate, channels):
    denoiser, stream = denoising(rate, channels)
    audio = noise(channels, rate // 4)
    found, behind = push_all(stream, audio, lengths=[23])
    np.testing.assert_allclose(found.sum(axis=0), audio, atol=1e-6)
    assert stream.latency - 0.01 * rate < behind <= stream.latency < 0.025 * rate
    expected = whole(Denoiser(denoiser.separator, sample_rate=rate, channels=1), audio[:1])
    inside = slice(rate // 20, -rate // 20)
    error = np.square(found[0, 0, inside] - expected[0, 0, inside]).mean()
    # The filter between the rates and the gain above the band are others.
    assert error < 0.1 * np.square(expected[0, 0, inside]).mean()


@pytest.mark.slow
def test_an_hour_takes_no_memory():
    from soloist.resources import resident_memory

    separator = two_frames(n_fft=256, hop_length=128, sample_rate=16000)
    stream, second = begin(separator, frames=64), noise(1, 16000)
    levels = []
    for _ in range(60):
        for _ in range(60):
            stream.push(second)
        levels.append(resident_memory())
    assert max(levels[-10:]) - max(levels[5:15]) < 1
