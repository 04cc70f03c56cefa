from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from soloist.datasets import synthesize_band
from soloist.datasets.synthetic_band import SOURCES
from soloist.datasets.synthetic_band.song import compose
from soloist.errors import UsageError

RATE = 44100
SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def songs():
    return {seed: synthesize_band(8.0, sample_rate=RATE, seed=seed) for seed in SEEDS}


def mixture_of(stems):
    return sum(stems[name] for name in SOURCES)


def level(audio):
    """Root mean square in dB."""
    return 10 * np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-20)


def share_between(audio, sample_rate, low, high):
    """Share of the energy that lies from `low` to `high` Hz."""
    power = np.square(np.abs(np.fft.rfft(audio.astype(np.float64)))).sum(axis=0)
    frequencies = np.fft.rfftfreq(audio.shape[-1], 1 / sample_rate)
    return power[(frequencies >= low) & (frequencies < high)].sum() / power.sum()


def band_levels(audio, sample_rate):
    """Levels in dB `(bands, frames)` of thirds of an octave from 100 Hz, in frames of an eighth second."""
    frame = sample_rate // 8
    frames = audio[:, : audio.shape[1] // frame * frame].reshape(2, -1, frame).astype(np.float64)
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(frame)))).sum(axis=0) / frame**2
    frequencies = np.fft.rfftfreq(frame, 1 / sample_rate)
    edges = 100 * 2 ** (np.arange(16) / 3)
    bands = [power[:, (frequencies >= a) & (frequencies < b)].sum(axis=1) for a, b in pairwise(edges)]
    return 10 * np.log10(np.array(bands) + 1e-8)


@settings(max_examples=20)
@given(
    samples=st.one_of(st.integers(1, 50), st.integers(1, 60000)),
    sample_rate=st.sampled_from([1000, 8000, 11025, 16000, 22050, 44100, 48000, 96000]),
    seed=st.integers(0, 2**40),
)
def test_any_length_rate_and_seed(samples, sample_rate, seed):
    stems = synthesize_band(samples / sample_rate, sample_rate=sample_rate, seed=seed)
    assert tuple(stems) == SOURCES
    for stem in stems.values():
        assert stem.shape == (2, samples)
        assert stem.dtype == np.float32
        assert np.isfinite(stem).all()
    assert np.abs(mixture_of(stems)).max() < 0.951


@pytest.mark.parametrize("seed", SEEDS)
def test_same_seed_gives_same_samples(songs, seed):
    again = synthesize_band(8.0, sample_rate=RATE, seed=seed)
    for name in SOURCES:
        np.testing.assert_array_equal(again[name], songs[seed][name])


def test_same_samples_in_another_process():
    program = (
        "import hashlib; from soloist.datasets.synthetic_band import synthesize_band;"
        "stems = synthesize_band(1.0, seed=7).values();"
        "print(hashlib.sha256(b''.join(stem.tobytes() for stem in stems)).hexdigest())"
    )
    digests = {subprocess.check_output([sys.executable, "-c", program]) for _ in range(2)}
    assert len(digests) == 1


def test_does_not_touch_the_global_generator():
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    synthesize_band(0.5, seed=1)
    assert np.random.random() == expected


def test_another_seed_is_another_song(songs):
    for name in SOURCES:
        first, second = songs[0][name], songs[1][name]
        correlation = np.sum(first * second) / np.sqrt(np.sum(first**2) * np.sum(second**2))
        assert abs(correlation) < 0.3
    assert len({round(compose(seed, 5.0).tempo, 3) for seed in range(20)}) == 20
    assert all(90 <= compose(seed, 5.0).tempo <= 140 for seed in range(20))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_longer_song_goes_on_where_a_shorter_one_ends(songs, seed):
    short = synthesize_band(3.3, sample_rate=RATE, seed=seed)
    long = {name: stem[:, : round(3.3 * RATE)] for name, stem in songs[seed].items()}
    gain = np.sum(mixture_of(long) * mixture_of(short)) / np.sum(mixture_of(short) ** 2)
    assert 0.4 < gain < 1.001
    for name in SOURCES:
        np.testing.assert_allclose(long[name], gain * short[name], atol=1e-5)


@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_same_music_at_another_rate(songs, sample_rate):
    other = synthesize_band(8.0, sample_rate=sample_rate, seed=2)
    for name in SOURCES:
        expected, found = band_levels(songs[2][name], RATE), band_levels(other[name], sample_rate)
        offset = np.median(found - expected)
        heard = expected > expected.max() - 30
        # Noise differs from rate to rate; tones and times do not.
        assert abs(offset) < 1.5
        assert np.median(np.abs(found - expected - offset)[heard]) < 2.0


@pytest.mark.parametrize("seed", SEEDS)
def test_levels(songs, seed):
    stems = songs[seed]
    assert 0.3 < np.abs(mixture_of(stems)).max() <= 0.9501
    for name in SOURCES:
        assert -32 < level(stems[name]) < -15
        # Every stem sounds in the first two seconds: excerpts as short as that are no silence.
        assert level(stems[name][:, : 2 * RATE]) > -40


@pytest.mark.parametrize("seed", SEEDS)
def test_stems_lie_where_they_should(songs, seed):
    stems = songs[seed]
    assert share_between(stems["bass"], RATE, 25, 300) > 0.9
    assert share_between(stems["vocals"], RATE, 80, 6000) > 0.9
    assert share_between(stems["vocals"], RATE, 6000, 16000) > 1e-5
    assert share_between(stems["other"], RATE, 120, 4000) > 0.9
    assert share_between(stems["drums"], RATE, 30, 150) > 0.15
    assert share_between(stems["drums"], RATE, 3000, 20000) > 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_stereo(songs, seed):
    for name, least in {"vocals": 1e-5, "drums": 1e-3, "other": 1e-2}.items():
        left, right = songs[seed][name].astype(np.float64)
        assert np.sum((left - right) ** 2) > least * np.sum((left + right) ** 2)
    np.testing.assert_array_equal(*songs[seed]["bass"])


def test_voice_rests_between_phrases():
    vocals = synthesize_band(16.0, sample_rate=16000, seed=1)["vocals"]
    frames = np.sqrt(np.mean(vocals.reshape(2, -1, 1600) ** 2, axis=(0, 2)))
    assert (frames < 0.05 * frames.max()).any()
    assert (frames > 0.3 * frames.max()).mean() > 0.2


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"duration": 0.0}, "duration"),
        ({"duration": -1.0}, "duration"),
        ({"duration": float("nan")}, "duration"),
        ({"duration": float("inf")}, "duration"),
        ({"duration": 1.0, "sample_rate": 0}, "sample_rate"),
        ({"duration": 1.0, "sample_rate": 999}, "sample_rate"),
        ({"duration": 1.0, "seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_played_is_named(arguments, name):
    with pytest.raises(UsageError, match=name):
        synthesize_band(**arguments)


def test_example_is_what_its_script_makes(repository):
    path = repository / "examples" / "make_example.py"
    spec = importlib.util.spec_from_file_location("make_example", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = script.make_tracks()
    stored = {}
    for name, track in made.items():
        stored[name], sample_rate = soundfile.read(script.FOLDER / f"{name}.flac", dtype="int16")
        assert sample_rate == script.SAMPLE_RATE
        # Another NumPy or processor may round the last bit of a sine differently; four of them add up.
        tolerance = len(SOURCES) if name == "mixture" else 1
        assert np.abs(stored[name].astype(np.int32) - track).max() <= tolerance
    total = sum(stored[name].astype(np.int32) for name in SOURCES)
    np.testing.assert_array_equal(total, stored["mixture"])
    assert 10 * script.SAMPLE_RATE <= len(stored["mixture"]) <= 20 * script.SAMPLE_RATE
