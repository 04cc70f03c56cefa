"""Disk space of stems."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from soloist.audio import StemWriter, WriteOptions, free_space, stem_space

RATE, SECONDS = 44100, 5


@pytest.mark.parametrize(
    "options",
    [
        WriteOptions(),
        WriteOptions(bit_depth=16),
        WriteOptions("flac"),
        WriteOptions("flac", bit_depth=16),
        WriteOptions("mp3"),
        WriteOptions("mp3", bitrate=128),
        WriteOptions("ogg"),
        WriteOptions("ogg", bitrate=192),
        WriteOptions("opus"),
        WriteOptions("m4a"),
    ],
    ids=lambda options: f"{options.format}-{options.bit_depth or options.bitrate}",
)
@pytest.mark.parametrize("channels", [1, 2])
def test_no_stem_takes_more_and_noise_takes_about_as_much(tmp_path, options, channels):
    path = tmp_path / "noise"
    noise = 0.2 * np.random.default_rng(0).standard_normal((1, channels, SECONDS * RATE), np.float32)
    with StemWriter({"noise": path}, RATE, channels, options) as writer:
        writer.write(noise)
        held = sum(file.stat().st_size for file in tmp_path.iterdir())
        writer.commit()
    most, end = stem_space(options, SECONDS, RATE, channels)
    headers = 20_000
    assert 0.6 * end < path.stat().st_size < 1.05 * end + headers
    assert most == end if options.is_float else most > end
    assert held < most + headers


@pytest.mark.skipif(sys.platform != "linux", reason="a file system that reports no size")
def test_a_file_system_that_reports_no_size_has_room(tmp_path):
    assert free_space(Path("/proc/song.wav")) is None


def test_the_room_is_that_of_the_disk_where_the_folder_would_be(tmp_path):
    there = free_space(tmp_path / "song.wav")
    assert there > 0
    assert free_space(tmp_path / "not" / "made" / "yet" / "song.wav") == pytest.approx(there, rel=0.1)
