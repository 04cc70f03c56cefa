"""Excerpts equal the same part of the whole file."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soloist.audio import resample_audio
from soloist.datasets import StemFile
from soloist.errors import AudioError
from soloist.mixing import read_excerpt
from soloist.mixing.excerpt_reader import draw_start, whole_length

RATE = 44100


@pytest.fixture(scope="module")
def stem(tmp_path_factory):
    path = tmp_path_factory.mktemp("excerpts") / "noise.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, 2))
    soundfile.write(path, noise, RATE, subtype="FLOAT")
    return StemFile(path)


@given(st.integers(0, 2 * RATE), st.integers(1, 3000))
def test_at_the_rate_of_the_file_an_excerpt_is_cut_out(stem, first, samples):
    whole, _ = stem.read()
    excerpt = read_excerpt(stem, first / RATE, samples, RATE, 2)
    expected = np.zeros((2, samples), np.float32)
    cut = whole[:, first : first + samples]
    expected[:, : cut.shape[1]] = cut
    np.testing.assert_array_equal(excerpt, expected)


@pytest.fixture(scope="module", params=[8000, 16000, 48000])
def resampled(stem, request):
    return resample_audio(stem.read()[0], RATE, request.param), request.param


# The very first samples of a file depend on what a resampler takes for the silence before it.
@given(hundredth=st.integers(1, 99), samples=st.integers(1, 3000))
def test_at_another_rate_an_excerpt_is_a_part_of_the_whole_resampled(stem, resampled, hundredth, samples):
    whole, rate = resampled
    first = hundredth * rate // 100
    excerpt = read_excerpt(stem, hundredth / 100, samples, rate, 2)
    expected = np.zeros((2, samples), np.float32)
    cut = whole[:, first : first + samples]
    expected[:, : cut.shape[1]] = cut
    np.testing.assert_allclose(excerpt, expected, atol=1e-5)


def test_channels_are_averaged_or_copied(stem):
    both, _ = stem.read(0.5, 0.01)
    one = read_excerpt(stem, 0.5, 441, RATE, 1)
    np.testing.assert_allclose(one[0], both.mean(axis=0), atol=1e-7)
    left = StemFile(stem.path, channel=0)
    np.testing.assert_array_equal(read_excerpt(left, 0.5, 441, RATE, 2), both[[0, 0]])


def test_other_numbers_of_channels_are_refused(stem):
    with pytest.raises(AudioError, match=r"noise\.wav has 2 channels, which are neither 1 nor 6"):
        read_excerpt(stem, 0.0, 10, RATE, 6)


def test_a_file_without_samples_is_named(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), 8000)
    with pytest.raises(AudioError, match=r"empty\.wav"):
        read_excerpt(StemFile(tmp_path / "empty.wav"), 0.0, 10, 8000, 1)


@given(st.integers(1, 100000), st.sampled_from([8000, 16000, 22050, 44100, 48000]))
def test_the_whole_length_is_that_of_the_file(samples, rate):
    class Stem:
        duration = samples / rate

    assert whole_length(Stem(), rate) == samples


@given(st.integers(0, 1000), st.floats(0.1, 2.0))
def test_an_excerpt_begins_on_a_sample_and_fits_in(stem, seed, duration):
    start = draw_start(np.random.default_rng(seed), stem, duration)
    assert (start * RATE) == pytest.approx(round(start * RATE), abs=1e-6)
    assert start == 0 or start + duration <= stem.duration + 1 / RATE
