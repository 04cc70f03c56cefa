"""Bare frames of AAC (ADTS): damaged and joined files."""

from __future__ import annotations

import numpy as np
import pytest

from soloist.audio import AudioReader, probe, read_audio
from soloist.errors import AudioError

FRAME = 1024


@pytest.fixture
def sound(tmp_path, noise, mux):
    """An ADTS file of 4 s, its samples and its bytes."""
    path = mux(tmp_path / "sound.aac", noise(samples=4 * 44100), "aac", "adts")
    return path, read_audio(path)[0], path.read_bytes()


def read(path, **settings):
    with AudioReader(path, tolerance="damage", **settings) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.remarks


@pytest.mark.parametrize("count", [40, 300, 2000, 12_000])
@pytest.mark.parametrize("damage", ["zeros", "noise"])
def test_damage_is_as_long_as_what_is_lost(sound, count, damage):
    path, whole, content = sound
    middle = len(content) // 2
    bad = bytes(count) if damage == "zeros" else np.random.default_rng(0).bytes(count)
    path.write_bytes(content[:middle] + bad + content[middle + count :])
    with pytest.raises(AudioError):
        read_audio(path)
    audio, remarks = read(path)
    assert abs(audio.shape[1] - whole.shape[1]) <= FRAME
    lost = sum(float(line.split(": ")[1].split()[0]) for line in remarks.losses)
    assert lost == pytest.approx(count / len(content) * 4, abs=3 * FRAME / 44100)
    assert remarks.truncation is None
    # The decoder's noise depends on what it decoded before.
    assert np.std(audio[:, -44100:] - whole[:, -44100:]) < 0.02 * np.std(whole)


def test_excerpts_of_a_damaged_file_are_those_of_the_whole(sound):
    path, _, content = sound
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(3000) + content[middle + 3000 :])
    audio, _ = read(path)
    for start in (0.5, 1.9, 2.1, 3.5):
        first = round(start * 44100)
        excerpt, _ = read(path, start=start, duration=0.2)
        np.testing.assert_array_equal(excerpt, audio[:, first : first + 8820])


def test_a_damaged_file_that_is_cut_is_truncated(sound):
    path, _, content = sound
    middle = len(content) // 2
    path.write_bytes((content[:middle] + bytes(3000) + content[middle + 3000 :])[:-50])
    with pytest.raises(AudioError, match="truncated"):
        read(path)


@pytest.mark.parametrize("rate", [44100, 22050])
def test_joined_files_of_any_rate_are_read_one_after_another(sound, tmp_path, noise, mux, rate):
    path, whole, content = sound
    other = mux(tmp_path / "other.aac", noise(samples=2 * rate, rate=rate), "aac", "adts", rate=rate)
    path.write_bytes(content + other.read_bytes())
    audio = read_audio(path)[0]
    assert audio.shape[1] == pytest.approx(whole.shape[1] + 2 * 44100, abs=6 * FRAME)
    np.testing.assert_array_equal(audio[:, : whole.shape[1]], whole)


def test_an_undamaged_file_has_no_remarks(sound):
    path, whole, _ = sound
    audio, remarks = read(path)
    np.testing.assert_array_equal(audio, whole)
    assert not remarks.losses
    assert not remarks.notes
    assert probe(path).channels == 2
