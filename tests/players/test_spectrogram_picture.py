"""Pictures of sound files of any length."""

import struct
import zlib

import numpy as np
import pytest
import soundfile

from served_songs import noise
from soloist.players import spectrogram_of_file


@pytest.mark.parametrize(("rate", "samples"), [(44100, 30000), (8000, 1), (10, 500), (1, 3)])
def test_a_file_of_any_rate_and_length_is_drawn(tmp_path, rate, samples):
    soundfile.write(tmp_path / "sound.flac", noise(0, 1, samples).T, rate, "PCM_16")
    picture = spectrogram_of_file(tmp_path / "sound.flac", columns=20)
    assert struct.unpack(">II", picture[16:24]) == (20, 128)


# Fewer columns are read one by one.
@pytest.mark.parametrize("columns", [8, 40])
def test_a_tone_is_a_line_at_its_frequency(tmp_path, columns):
    time = np.arange(44100) / 44100
    soundfile.write(tmp_path / "sound.flac", 0.5 * np.sin(2 * np.pi * 1000 * time), 44100, "PCM_16")
    picture = spectrogram_of_file(tmp_path / "sound.flac", columns)
    at = picture.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", picture[at - 8 : at - 4])
    rows = np.frombuffer(zlib.decompress(picture[at : at + length]), np.uint8).reshape(128, columns + 1)[
        :, 1:
    ]
    brightest = rows.argmax(axis=0)
    expected = 127 * (1 - np.log(1000 / 50) / np.log(22050 / 50))
    assert abs(brightest - expected).max() <= 3
