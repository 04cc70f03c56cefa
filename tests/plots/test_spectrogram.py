"""Spectrograms in pieces, and their figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import soloist.plots.spectrogram_figure as module
from soloist.plots import measure_spectrogram
from soloist.transforms import STFT, SliCQ

RATE = 8000
TRANSFORMS = [STFT(256, 64), SliCQ("bark", 20, 100.0, sample_rate=RATE)]


def tone(frequency: float, seconds: float, amplitude: float = 0.5) -> np.ndarray:
    """Stereo sinusoid `(channels, samples)`."""
    wave = amplitude * np.sin(2 * np.pi * frequency / RATE * np.arange(round(seconds * RATE)))
    return np.stack([wave, wave]).astype(np.float32)


def cut(audio: np.ndarray, length: int) -> list[np.ndarray]:
    """Blocks of a signal."""
    return [audio[:, first : first + length] for first in range(0, audio.shape[1], length)]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=["stft", "slicq"])
@pytest.mark.parametrize("seconds", [3.0, 3.1, 0.01, 1 / RATE])
def test_pieces_make_the_whole(monkeypatch, transform, seconds):
    audio = np.random.default_rng(0).uniform(-1, 1, (2, round(seconds * RATE))).astype(np.float32)
    # As many columns as there are hops, which do not depend on the length of a piece.
    expected_seconds = module.COLUMNS * transform.hop_length / RATE
    pictures = []
    for piece in (100.0, 0.5):
        monkeypatch.setattr(module, "PIECE_SECONDS", piece)
        pictures.append(measure_spectrogram(transform, cut(audio, 1000), RATE, expected_seconds))
    whole, pieces = pictures
    assert whole.power.shape == (len(whole.frequencies), -(-audio.shape[1] // transform.hop_length))
    assert whole.seconds == audio.shape[1] / RATE
    np.testing.assert_allclose(pieces.power, whole.power, atol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=["stft", "slicq"])
def test_a_sound_stands_at_its_time_frequency_and_level(transform):
    frequency = transform.bin_frequencies(RATE)[12]
    audio = np.concatenate([np.zeros((2, 2 * RATE)), tone(frequency, 2.0), np.zeros((2, RATE))], axis=1)
    picture = measure_spectrogram(transform, [audio.astype(np.float32)], RATE, 5.0)
    assert abs(picture.power.shape[1] - module.COLUMNS) < 10
    column = round(3.0 / picture.column_seconds)
    assert picture.power[:, column].argmax() == 12
    assert abs(10 * np.log10(picture.power[12, column] / 0.25)) < 0.5
    sounding = picture.power[12] > 0.125
    first, last = np.flatnonzero(sounding)[[0, -1]] * picture.column_seconds
    assert abs(first - 2.0) < 0.05
    assert abs(last - 4.0) < 0.05


def test_channels_that_cancel_each_other_are_seen():
    audio = tone(1000.0, 1.0)
    audio[1] *= -1
    picture = measure_spectrogram(STFT(256, 64), [audio], RATE, 1.0)
    assert picture.power.max() > 0.2


def test_no_gradients_are_recorded():
    torch.set_grad_enabled(True)
    assert isinstance(measure_spectrogram(TRANSFORMS[0], [tone(100.0, 0.1)], RATE, 0.1).power, np.ndarray)
