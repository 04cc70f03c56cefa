"""Time of reading excerpts depends on their length, not on that of the file."""

import time

import numpy as np
import pytest
import soundfile

from soloist.datasets import StemFile

RATE = 44100
SECONDS = 60


def cost(call):
    """Smallest processor time of a few calls, in seconds."""
    times = []
    for _ in range(3):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return min(times)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_an_excerpt_is_read_by_seeking(tmp_path, suffix):
    rng = np.random.default_rng(0)
    path = tmp_path / f"long.{suffix}"
    with soundfile.SoundFile(path, "w", RATE, 2) as file:
        for _ in range(SECONDS):
            file.write(rng.uniform(-0.3, 0.3, (RATE, 2)))
    stem = StemFile(path)
    whole = cost(lambda: [block.shape for block in stem.blocks(65536)])
    for start in (0.0, SECONDS / 2, SECONDS - 1.0):
        assert cost(lambda start=start: stem.read(start, 1.0)) < whole / 6


def test_a_stem_says_where_it_lies(tmp_path):
    path = tmp_path / "a.wav"
    assert str(StemFile(path)) == str(path)
    assert str(StemFile(path, 2)) == f"{path} (stream 3)"
    assert str(StemFile(path, channel=1)) == f"{path} (channel 2)"
