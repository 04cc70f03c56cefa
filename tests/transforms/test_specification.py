"""Transforms by a short text."""

from __future__ import annotations

import pytest

from soloist.errors import UsageError
from soloist.transforms import STFT, SliCQ, parse_transform


@pytest.mark.parametrize(
    ("text", "size", "hop"),
    [
        ("stft", 4096, 1024),
        ("stft:2048", 2048, 512),
        ("stft:2048:256", 2048, 256),
        ("stft::512", 4096, 512),
    ],
)
def test_stft(text, size, hop):
    stft = parse_transform(text, 44100)
    assert isinstance(stft, STFT)
    assert (stft.n_fft, stft.hop_length) == (size, hop)


def test_a_window_by_name():
    expected = STFT(512, 128, "rectangular").window
    assert parse_transform("stft:512::rectangular", 44100).window.equal(expected)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("slicq", {}),
        ("slicq:mel:80:50.5", {"scale": "mel", "bins": 80, "fmin": 50.5}),
        ("slicq::100", {"bins": 100}),
        ("slicq:bark:40:100:4000", {"bins": 40, "fmin": 100.0, "slice_length": 4000}),
        ("slicq:variable-q:40:50::10", {"scale": "variable-q", "bins": 40, "fmin": 50.0, "gamma": 10.0}),
        ("slicq:octave:12:100", {"scale": "octave", "bins": 12, "fmin": 100.0}),
    ],
)
def test_slicq(text, same):
    slicq, expected = parse_transform(text, 22050), SliCQ(**same, sample_rate=22050)
    assert isinstance(slicq, SliCQ)
    assert slicq.sample_rate == 22050
    assert slicq.blocks == expected.blocks
    assert (slicq.slice_length, slicq.frequencies) == (expected.slice_length, expected.frequencies)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("slicg:bark", "no transform 'slicg': did you mean slicq"),
        ("wavelet", "no transform 'wavelet': write stft:n_fft:hop_length:window or slicq:scale"),
        ("", "no transform ''"),
        ("stft:4096:1024:hann:2", "too many values: write stft:n_fft:hop_length:window"),
        ("stft:4096:1024:kaiser", "stft:4096:1024:kaiser: there is no window 'kaiser'"),
        ("stft:4k", "n_fft '4k' is not a whole number"),
        ("slicq:bark:26.2", "bins '26.2' is not a whole number"),
        ("slicq:bark:262:low", "fmin 'low' is not a number"),
        ("slicq:barq", "slicq:barq: there is no scale 'barq': did you mean bark"),
        ("slicq:bark:262:30000", "slicq:bark:262:30000: fmin 30000 Hz .* 22050 Hz"),
        ("stft:4096:4096", "stft:4096:4096: hop_length 4096 must lie in"),
        ("stft:-4", "stft:-4: hop_length"),
    ],
)
def test_what_is_not_understood_is_refused(text, told):
    with pytest.raises(UsageError, match=told):
        parse_transform(text, 44100)
