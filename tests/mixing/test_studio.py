"""Augmentations of a studio, lossy coding, width, dropout and mix-up: what each of them does to a sound."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from soloist.errors import UsageError
from soloist.mixing import (
    Compressor,
    Equalizer,
    Example,
    LossyCoding,
    Mixer,
    MixUp,
    Reverb,
    Saturation,
    StemDropout,
    StereoWidth,
)

RATE = 16000


def tones(*hertz: float, seconds: float = 0.5, level: float = 0.3) -> np.ndarray:
    """One stereo source that is a sum of sines `(1, 2, samples)`."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * pitch * time) for pitch in hertz)
    return np.broadcast_to(level * wave, (1, 2, len(time))).astype(np.float32)


def level(signal: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))))


def bin_level(signal: np.ndarray, hertz: float) -> float:
    """Level of one frequency of a source, dB."""
    spectrum = np.abs(np.fft.rfft(signal[0] * np.hanning(signal.shape[-1])))
    return float(20 * np.log10(spectrum[round(hertz * signal.shape[-1] / RATE)]))


@pytest.mark.parametrize("gain", [-12.0, 12.0])
def test_an_equaliser_changes_the_lowest_and_the_highest_tones_by_its_gain(gain):
    pedalboard = pytest.importorskip("pedalboard")
    assert pedalboard
    source = tones(40, 7500)
    varied = Equalizer((gain, gain), sample_rate=RATE, p=1.0)(source, 0)
    assert bin_level(varied[0], 40) - bin_level(source[0], 40) == pytest.approx(gain, abs=3.5)


def test_saturation_adds_odd_harmonics_and_keeps_the_level():
    pytest.importorskip("pedalboard")
    source = tones(500)
    varied = Saturation((20.0, 20.0), sample_rate=RATE, p=1.0)(source, 0)
    assert level(varied) == pytest.approx(level(source), abs=0.01)
    for harmonic, least in ((1500, -30), (2500, -40)):
        assert bin_level(varied[0], harmonic) - bin_level(varied[0], 500) > least
    assert bin_level(varied[0], 1000) - bin_level(varied[0], 500) < -60


def test_a_compressor_makes_loud_and_soft_more_alike_and_keeps_the_level():
    pytest.importorskip("pedalboard")
    source = np.concatenate([tones(300, level=0.5), tones(300, level=0.05)], axis=-1)
    varied = Compressor((-30.0, -30.0), (4.0, 4.0), sample_rate=RATE, p=1.0)(source, 0)
    assert level(varied) == pytest.approx(level(source), abs=0.01)
    half = source.shape[-1] // 2
    before = level(source[..., half // 2 : half]) - level(source[..., half + half // 2 :])
    after = level(varied[..., half // 2 : half]) - level(varied[..., half + half // 2 :])
    assert before == pytest.approx(20, abs=0.1)
    assert after == pytest.approx(20 / 4, abs=0.1)


def test_reverberation_goes_on_after_the_sound():
    pytest.importorskip("pedalboard")
    source = np.concatenate([tones(300), np.zeros((1, 2, RATE // 2), np.float32)], axis=-1)
    varied = Reverb((0.5, 0.5), (0.3, 0.3), sample_rate=RATE, p=1.0)(source, 0)
    tail = varied[..., source.shape[-1] * 3 // 5 :]
    assert -60 < level(tail) - level(source) < -3
    assert np.corrcoef(varied[0, 0, : RATE // 2], source[0, 0, : RATE // 2])[0, 1] > 0.7


@pytest.mark.parametrize("codec", ["mp3", "aac", "opus"])
@pytest.mark.parametrize("rate", [RATE, 10000])
def test_coded_sounds_are_in_time_and_damaged(codec, rate):
    rng = np.random.default_rng(3)
    spectrum = np.fft.rfft(rng.standard_normal((2, 2, rate)))
    # Noise from 100 to 1000 Hz: every codec keeps what is far from both ends of the band.
    spectrum[..., :100] = spectrum[..., 1000:] = 0
    sources = np.fft.irfft(spectrum).astype(np.float32)
    coding = LossyCoding((codec,), (64.0, 64.0), sample_rate=rate, p=1.0)
    coded = coding(sources, 0)
    assert coded.shape == sources.shape
    np.testing.assert_array_equal(coded, coding.batch(sources[None], [0])[0])
    lags = range(-40, 41)
    middle = sources[0, 0, 100:-100]
    match = [np.dot(coded[0, 0, 100 + lag : len(middle) + 100 + lag], middle) for lag in lags]
    assert lags[int(np.argmax(match))] == 0
    error = level(coded - sources) - level(sources)
    assert -60 < error < -10


def test_width_is_that_of_the_difference_of_the_channels():
    rng = np.random.default_rng(0)
    source = rng.standard_normal((1, 2, 1000)).astype(np.float32)
    mono = StereoWidth((0.0, 0.0), p=1.0)(source, 0)
    np.testing.assert_allclose(mono[:, 0], mono[:, 1], atol=1e-6)
    np.testing.assert_allclose(mono.sum(axis=1), source.sum(axis=1), atol=1e-5)
    wide = StereoWidth((2.0, 2.0), p=1.0)(source, 0)
    np.testing.assert_allclose(wide[:, 0] - wide[:, 1], 2 * (source[:, 0] - source[:, 1]), atol=1e-5)
    np.testing.assert_array_equal(StereoWidth(p=1.0)(source[:, :1], 0), source[:, :1])


def test_dropout_silences_sources_whole_and_never_all():
    sources = np.ones((3, 2, 10), np.float32)
    heard = np.array([StemDropout(p=0.7)(sources, index).any(axis=(1, 2)) for index in range(200)])
    assert heard.any(axis=1).all()
    assert 0.25 < heard.mean() < 0.55
    assert StemDropout(p=1.0)(sources, 0).any(axis=(1, 2)).sum() == 1


class Numbered(Mixer):
    """Examples of constant signals that say their number."""

    def __init__(self) -> None:
        super().__init__(sources=("a", "b"), sample_rate=RATE, channels=1, seed=0, duration=0.001)
        self.drawn: dict[int, Example] = {}

    def __len__(self) -> int:
        return 4

    def draw(self, index: int) -> Example:
        references = np.random.default_rng(index).standard_normal((2, 1, 16)).astype(np.float32)
        self.drawn[index] = Example(references.sum(axis=0), references, str(index))
        return self.drawn[index]


def test_a_mix_up_is_a_sum_of_two_examples_whose_sources_sum_to_the_mixture():
    inner = Numbered()
    mixer = MixUp(inner, (-6.0, -6.0), p=0.5)
    mixed = 0
    for index in range(40):
        inner.drawn.clear()
        example = mixer.draw(index)
        np.testing.assert_allclose(example.references.sum(axis=0), example.mixture, atol=1e-5)
        if len(inner.drawn) == 1:
            assert example is inner.drawn[index]
            continue
        mixed += 1
        first, second = inner.drawn.values()
        gain = 10 ** (-6 / 20)
        np.testing.assert_allclose(example.references, first.references + gain * second.references, atol=1e-5)
        assert example.name == f"{first.name} + {second.name}"
    assert 10 < mixed < 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LossyCoding(("wav",), sample_rate=RATE), "codecs must be some of mp3, aac, opus"),
        (lambda: LossyCoding(bitrate=(8, 20), sample_rate=RATE), "no range from 16 to 160"),
        (lambda: StereoWidth((1.0, 0.5)), "width must be a range"),
        (lambda: MixUp(Numbered(), (0.0, -6.0)), "decibels must be a range"),
        (lambda: MixUp(Numbered(), p=1.5), "p must be a probability"),
        (lambda: Equalizer((6.0, -6.0), sample_rate=RATE), "decibels .* is no range from -30 to 30"),
    ],
)
def test_what_is_out_of_range_is_named(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("effect", [Equalizer, Saturation, Compressor, Reverb])
def test_effects_go_to_other_processes(effect):
    pytest.importorskip("pedalboard")
    made, source = effect(sample_rate=RATE, p=1.0), tones(300)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(made))(source, 3), made(source, 3))
