"""Resampling: exact length, alignment, independence of blocks, quality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.audio import StreamResampler, resample_audio
from soloist.errors import UsageError

RATES = st.sampled_from([8000, 11025, 16000, 22050, 32000, 37800, 44100, 48000, 88200, 96000, 192000])


@given(source=RATES, target=RATES, samples=st.integers(1, 5000), channels=st.integers(1, 3))
def test_lengths_are_exact_and_come_back(source, target, samples, channels):
    audio = np.random.default_rng(samples).normal(0, 0.1, (channels, samples)).astype(np.float32)
    there = resample_audio(audio, source, target)
    back = resample_audio(there, target, source)
    assert there.dtype == np.float32
    assert there.shape == (channels, -(-samples * target // source))
    assert there.shape[1] == StreamResampler.output_length(samples, source, target)
    assert back.shape[1] >= samples


@given(source=RATES, target=RATES, blocks=st.lists(st.integers(0, 2000), min_size=1, max_size=8))
def test_blocks_make_no_difference(source, target, blocks):
    audio = np.random.default_rng(1).normal(0, 0.1, (2, sum(blocks))).astype(np.float32)
    resampler = StreamResampler(source, target, 2)
    ends = np.cumsum(blocks)
    parts = [resampler.process(part) for part in np.split(audio, ends[:-1], axis=1)]
    streamed = np.concatenate([*parts, resampler.flush()], axis=1)
    np.testing.assert_array_equal(streamed, resample_audio(audio, source, target))


@pytest.mark.parametrize(
    ("source", "target"), [(44100, 48000), (48000, 44100), (44100, 16000), (8000, 44100)]
)
def test_a_tone_stays_where_it_is(source, target):
    def tone(rate, samples):
        return np.sin(2 * np.pi * 997 * np.arange(samples) / rate + 0.3).astype(np.float32)[None]

    resampled = resample_audio(tone(source, source), source, target)
    expected = tone(target, resampled.shape[1])
    inner = slice(target // 10, -target // 10)
    assert np.abs(resampled - expected)[:, inner].max() < 1e-5


def test_there_and_back_is_the_same(noise):
    audio = noise(samples=30_000)
    back = resample_audio(resample_audio(audio, 44100, 48000), 48000, 44100)[:, :30_000]
    assert np.abs(back - audio)[:, 2000:-2000].max() < 1e-5


def test_the_same_rate_changes_nothing(noise):
    np.testing.assert_array_equal(resample_audio(noise(), 44100, 44100), noise())


def test_silence_stays_silence():
    assert not resample_audio(np.zeros((2, 1000), np.float32), 44100, 48000).any()


def test_a_resampler_can_be_used_again(noise):
    resampler = StreamResampler(44100, 16000, 2)
    first = np.concatenate([resampler.process(noise()), resampler.flush()], axis=1)
    second = np.concatenate([resampler.process(noise()), resampler.flush()], axis=1)
    np.testing.assert_array_equal(first, second)


def test_what_makes_no_sense_is_refused():
    for arguments in [(0, 44100, 2), (44100, -1, 2), (44100, 48000, 0)]:
        with pytest.raises(UsageError, match="must be positive"):
            StreamResampler(*arguments)
    with pytest.raises(UsageError, match=r"\(2, samples\)"):
        StreamResampler(44100, 48000, 2).process(np.zeros((3, 10), np.float32))
