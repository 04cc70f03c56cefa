"""The resampler of live streams: aligned, of the right length, and soon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.audio import ShortResampler, StreamResampler


def resample(audio, source, target, lengths=(500,)):
    resampler = ShortResampler(source, target, len(audio))
    pieces, position, turn = [], 0, 0
    while position < audio.shape[1]:
        block = audio[:, position : position + lengths[turn % len(lengths)]]
        pieces.append(resampler.process(block))
        position, turn = position + block.shape[1], turn + 1
        # An output waits for so many samples, and for no more.
        given_back = sum(piece.shape[1] for piece in pieces)
        assert position - given_back * source / target <= resampler.ahead
    return np.concatenate([*pieces, resampler.flush()], axis=1)


def tone(frequency, rate, samples):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / rate + 0.3)[None].astype(np.float32)


@pytest.mark.parametrize(
    ("source", "target"), [(48000, 16000), (16000, 48000), (44100, 16000), (16000, 44100), (8000, 8000)]
)
def test_a_tone_stays_where_it_is_and_an_alias_does_not_come(source, target):
    low = min(source, target)
    found = resample(tone(0.4 * low, source, source // 4), source, target)
    inside = slice(target // 50, -target // 50)
    np.testing.assert_allclose(
        found[:, inside], tone(0.4 * low, target, found.shape[1])[:, inside], atol=1e-3
    )
    if target < source:
        beyond = resample(tone(0.52 * low, source, source // 4), source, target)
        assert np.abs(beyond[:, inside]).max() < 1e-3
    assert ShortResampler(source, target, 1).ahead / source < 0.003


@given(
    source=st.integers(800, 1200),
    target=st.integers(800, 1200),
    samples=st.integers(1, 400),
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4),
)
def test_blocks_change_nothing_and_the_length_is_that_of_the_other_resampler(
    source, target, samples, lengths
):
    audio = np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32)
    once = resample(audio, source, target, [samples])
    assert once.shape == (2, StreamResampler.output_length(samples, source, target))
    np.testing.assert_allclose(resample(audio, source, target, lengths), once, atol=1e-6)
