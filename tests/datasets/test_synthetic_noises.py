"""Noises from seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.datasets import SyntheticNoises, synthesize_noise
from soloist.errors import UsageError

KINDS = ("hum", "fan", "clicks", "motor", "waves", "cries")
RATE = 16000


@given(
    kind=st.sampled_from(KINDS),
    samples=st.integers(1, 4000),
    sample_rate=st.sampled_from([8000, 16000, 44100]),
    seed=st.integers(0, 2**30),
)
def test_any_length_rate_and_seed(kind, samples, sample_rate, seed):
    audio = synthesize_noise(kind, samples / sample_rate, seed=seed, sample_rate=sample_rate)
    assert (audio.shape, audio.dtype) == ((1, samples), np.float32)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() < 0.71


def spectrum(audio):
    return np.square(np.abs(np.fft.rfft(audio[0] * np.hanning(audio.shape[1]))))


@pytest.mark.parametrize("seed", range(4))
def test_kinds_are_what_they_are_called(seed):
    """A hum is lines of the mains, a fan is lower than it is high, clicks are short."""
    hum, fan, clicks = (synthesize_noise(kind, 2.0, seed=seed)[:, : 2 * RATE] for kind in KINDS[:3])
    power = spectrum(hum)
    lines = np.arange(1, 140) * [50.0, 60.0][int(np.argmax([power[99:102].sum(), power[119:122].sum()]))] * 2
    near = np.concatenate([power[int(line) - 8 : int(line) + 9] for line in lines if line < len(power) - 9])
    assert near.sum() > 0.9 * power.sum()
    powers = spectrum(fan)
    assert powers[: len(powers) // 2].sum() > 2 * powers[len(powers) // 2 :].sum()
    crest = [np.abs(audio).max() / np.sqrt(np.square(audio).mean()) for audio in (clicks, fan)]
    assert crest[0] > 1.5 * crest[1]


def envelope(audio, rate):
    """Root mean square of each `rate`th of a second."""
    frames = audio[0, : audio.shape[1] // (RATE // rate) * (RATE // rate)].reshape(-1, RATE // rate)
    return np.sqrt(np.square(frames).mean(axis=1))


def beat(audio):
    """Strongest line of the envelope, as a multiple of the median."""
    course = envelope(audio, 1000)
    lines = spectrum(course[None] - course.mean())[20:]
    return lines.max() / np.median(lines)


def swell(audio):
    course = envelope(audio, 4)
    return course.max() / course.min()


def tone(audio):
    """Largest share of a frame's power that is in a single bin."""
    powers = [spectrum(frame[None]) for frame in audio[0].reshape(-1, RATE // 20)]
    return max(power.max() / power.sum() for power in powers)


@pytest.mark.parametrize(
    ("kind", "other", "measure"), [("motor", "fan", beat), ("waves", "fan", swell), ("cries", "waves", tone)]
)
def test_motors_beat_waves_swell_and_cries_have_a_pitch(kind, other, measure):
    found = [
        np.median([measure(synthesize_noise(each, 4.0, seed=seed)) for seed in range(8)])
        for each in (kind, other)
    ]
    assert found[0] > 1.6 * found[1]


def test_equal_numbers_are_equal_samples_and_splits_share_no_clip():
    one, again, other = (synthesize_noise("fan", 0.5, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 0.3
    corpus = SyntheticNoises(clips=5, seconds=0.1)
    names = [track.name for split in corpus.splits for track in corpus.tracks(split)]
    assert len(names) == len(set(names)) == len(KINDS) * (5 + 1 + 1)
    track = corpus.tracks("train")[0]
    np.testing.assert_array_equal(track.stems["noise"].read()[0], synthesize_noise("hum", 0.1, seed=0))


def test_impossible_noises_are_refused():
    for arguments in (("whistle", 1.0), ("hum", 0.0)):
        with pytest.raises(UsageError):
            synthesize_noise(*arguments)
    with pytest.raises(UsageError, match="clips must be at least 1"):
        SyntheticNoises(clips=0)
