"""`soloist.separate` returns stems as a mapping that can be saved."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

import soloist
from soloist.errors import UsageError

RATE = 8000


@pytest.fixture(scope="module")
def audio():
    return (0.1 * np.random.default_rng(0).standard_normal((2, RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def separation(audio):
    return soloist.separate(audio, RATE, model="hpss", two_stems="harmonic")


def test_it_is_a_read_only_mapping_of_stems(separation, audio):
    assert isinstance(separation, soloist.Separation)
    assert list(separation) == ["harmonic", "no_harmonic"]
    assert dict(separation)["harmonic"] is separation["harmonic"]
    assert separation.sample_rate == RATE
    assert all(stem.shape == audio.shape and stem.dtype == np.float32 for stem in separation.values())
    np.testing.assert_allclose(sum(separation.values()), audio, atol=1e-6)
    with pytest.raises(TypeError):
        separation["vocals"] = audio
    with pytest.raises(KeyError):
        separation["vocals"]
    assert "no_harmonic (2, 8000)" in repr(separation)


def test_saved_stems_are_those_of_the_mapping(separation, tmp_path):
    paths = separation.save(tmp_path / "stems")
    assert paths == {name: tmp_path / "stems" / f"{name}.wav" for name in separation}
    for name, path in paths.items():
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        np.testing.assert_array_equal(samples.T, separation[name])


def test_stems_are_saved_in_other_formats(separation, tmp_path):
    assert soundfile.info(separation.save(tmp_path, format="flac")["harmonic"]).format == "FLAC"
    with pytest.raises(UsageError, match="format must be one of"):
        separation.save(tmp_path, format="tape")


@pytest.mark.parametrize(
    "audio",
    [np.zeros((2, 0), np.float32), np.full(9, np.nan, np.float32), np.zeros((1, 2, 9), np.float32)],
)
def test_what_is_no_audio_is_refused(audio):
    with pytest.raises(UsageError, match="finite samples"):
        soloist.separate(audio, RATE)
