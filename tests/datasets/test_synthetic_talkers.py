"""Voices from seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.datasets import synthesize_talker
from soloist.datasets.synthetic_talkers import Talker
from soloist.errors import UsageError


def talker_of(number):
    return Talker.draw(np.random.default_rng([number, 20]))


def pitch_of(audio, rate):
    """Median pitch of loud frames in Hz, by autocorrelation."""
    frame = int(0.06 * rate)
    frames = audio[0, : audio.shape[1] // frame * frame].reshape(-1, frame)
    loud = frames[np.square(frames).mean(axis=1) > 0.3 * np.square(audio).mean()]
    spectra = np.fft.rfft(loud * np.hanning(frame), 2 * frame)
    correlation = np.fft.irfft(np.abs(spectra) ** 2)[:, : rate // 60]
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(frame), 2 * frame)) ** 2)[: rate // 60]
    first = rate // 380
    return float(np.median(rate / (first + (correlation / window)[:, first:].argmax(axis=1))))


@given(
    samples=st.one_of(st.integers(1, 50), st.integers(1, 20000)),
    sample_rate=st.sampled_from([4000, 8000, 16000, 44100]),
    talker=st.integers(0, 2**30),
    utterance=st.integers(0, 2**30),
)
def test_any_length_rate_and_seed(samples, sample_rate, talker, utterance):
    audio = synthesize_talker(
        samples / sample_rate, talker=talker, utterance=utterance, sample_rate=sample_rate
    )
    assert audio.shape == (1, samples)
    assert audio.dtype == np.float32
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() < 0.71


def test_the_same_numbers_are_the_same_samples_and_others_are_not():
    one = synthesize_talker(1.0, talker=3, utterance=1)
    np.testing.assert_array_equal(synthesize_talker(1.0, talker=3, utterance=1), one)
    for other in ({"talker": 3, "utterance": 2}, {"talker": 4, "utterance": 1}):
        assert abs(np.corrcoef(one[0], synthesize_talker(1.0, **other)[0])[0, 1]) < 0.3


@pytest.mark.parametrize("number", range(6))
def test_a_talker_is_heard_at_its_pitch_in_every_utterance(number):
    expected = 440 * 2 ** ((talker_of(number).pitch - 69) / 12)
    for utterance in (0, 1):
        audio = synthesize_talker(4.0, talker=number, utterance=utterance, sample_rate=16000)
        assert abs(12 * np.log2(pitch_of(audio, 16000) / expected)) < 3


def test_talkers_differ():
    talkers = [talker_of(number) for number in range(50)]
    pitches = np.array([talker.pitch for talker in talkers])
    assert 10 < (pitches < 52).sum() < 40
    assert np.ptp([talker.voice.throat for talker in talkers]) > 0.25
    assert np.ptp([talker.pace for talker in talkers]) > 2


def test_syllables_and_pauses():
    audio = synthesize_talker(12.0, talker=1, sample_rate=16000)[0]
    levels = np.sqrt(np.square(audio.reshape(-1, 800)).mean(axis=1))
    assert (levels < 0.05 * levels.max()).mean() > 0.05
    assert (levels > 0.25 * levels.max()).mean() > 0.3


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"duration": 0.0, "talker": 0}, "duration"),
        ({"duration": float("inf"), "talker": 0}, "duration"),
        ({"duration": 1.0, "talker": -1}, "talker"),
        ({"duration": 1.0, "talker": 0, "utterance": -1}, "utterance"),
        ({"duration": 1.0, "talker": 0, "sample_rate": 3999}, "sample_rate"),
    ],
)
def test_what_cannot_be_said_is_named(arguments, name):
    with pytest.raises(UsageError, match=name):
        synthesize_talker(**arguments)
