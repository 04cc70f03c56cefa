"""Options for writing, and their properties."""

from __future__ import annotations

import subprocess
import sys

import pytest

from soloist.audio import AUDIO_SUFFIXES, FORMATS, WriteOptions
from soloist.audio.file_formats import encoding_rate
from soloist.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"format": "wma"}, "format must be one of wav, flac"),
        ({"clip": "wrap"}, "clip must be one of rescale, clamp, none"),
        ({"bit_depth": 20}, "16 or 24 or 32, not 20"),
        ({"format": "flac", "bit_depth": 32}, "16 or 24, not 32"),
        ({"format": "mp3", "bit_depth": 16}, "no bit depth"),
        ({"bitrate": 320}, "no bit rate"),
        ({"format": "flac", "bitrate": 320}, "no bit rate"),
        ({"format": "mp3", "bitrate": 0}, "must be positive"),
        ({"seed": -1}, "negative"),
    ],
)
def test_options_that_do_not_go_together(arguments, reason):
    with pytest.raises(UsageError, match=reason):
        WriteOptions(**arguments)


def test_extensions():
    extensions = {name: WriteOptions(format=name).extension for name in FORMATS}
    assert extensions.pop("stem") == "stem.mp4"
    assert all(name == extension for name, extension in extensions.items())
    assert {f".{extension.rpartition('.')[2]}" for extension in [*extensions, "stem.mp4"]} <= AUDIO_SUFFIXES


@pytest.mark.parametrize(
    ("name", "rate", "expected"),
    [
        ("wav", 12345, 12345),
        ("flac", 192000, 192000),
        ("mp3", 44100, 44100),
        ("mp3", 37800, 44100),
        ("mp3", 96000, 48000),
        ("opus", 44100, 48000),
        ("opus", 8000, 48000),
        ("m4a", 96000, 96000),
        ("m4a", 192000, 96000),
        ("stem", 5000, 7350),
    ],
)
def test_rates_that_encoders_know(name, rate, expected):
    assert encoding_rate(WriteOptions(format=name), rate) == expected


def test_reading_audio_needs_no_torch():
    code = "import sys, soloist.audio; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
