"""Block-by-block measurements of a stem."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soloist.datasets import StemFile
from soloist.datasets.checking.stem_scan import BLOCK, StemScan

RATE = 8000


class Array:
    """Stem of an array `(channels, samples)`, read in blocks of any length."""

    def __init__(self, audio, length=None):
        self.audio = np.asarray(audio, np.float32)
        self.sample_rate = RATE
        self.duration = self.audio.shape[1] / RATE
        self.length = length

    def read(self, start=0.0, duration=None):
        raise NotImplementedError

    def blocks(self, length):
        length = self.length or length
        for first in range(0, self.audio.shape[1], length):
            yield self.audio[:, first : first + length]


def scan(stem):
    scanned = StemScan("vocals", stem)
    while scanned.next() is not None:
        pass
    return scanned.facts()


def test_length_peak_and_rate():
    audio = np.zeros((2, 3 * BLOCK + 5))
    audio[1, BLOCK] = -0.5
    facts = scan(Array(audio))
    assert (facts.name, facts.sample_rate, facts.channels, facts.samples) == (
        "vocals",
        RATE,
        2,
        3 * BLOCK + 5,
    )
    assert facts.peak == 0.5
    assert facts.failure is None


@given(
    values=st.lists(st.sampled_from([0.0, 0.5, 0.98, 1.0, -1.0, 0.995]), min_size=1, max_size=40),
    length=st.integers(1, 12),
)
def test_clipping_is_counted_whatever_the_blocks(values, length):
    stuck = [
        index
        for index in range(2, len(values))
        if abs(values[index]) >= 0.99 and values[index] == values[index - 1] == values[index - 2]
    ]
    facts = scan(Array([values, [0.0] * len(values)], length))
    assert facts.clipped == len(stuck)
    assert facts.first_clipped == (stuck[0] - 2 if stuck else None)


def test_loud_is_not_clipped():
    facts = scan(Array([1.2 * np.sin(np.arange(4000) * 0.3)]))
    assert facts.clipped == 0
    facts = scan(Array([np.clip(1.2 * np.sin(np.arange(4000) * 0.3), -1, 1)]))
    assert facts.clipped > 100


def test_a_fingerprint_is_that_of_the_samples(tmp_path):
    audio = np.round(np.random.default_rng(0).uniform(-0.5, 0.5, (100, 2)) * 2**15) / 2**15
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    soundfile.write(tmp_path / "b.flac", audio, RATE)
    one, other = (scan(StemFile(tmp_path / name)).fingerprint for name in ("a.wav", "b.flac"))
    assert one == other
    assert scan(Array(-audio.T)).fingerprint != one
    assert scan(Array(audio.T + 2**-15)).fingerprint != one
    assert scan(Array([[0.0, 0.5]])).fingerprint == scan(Array([[-0.0, 0.5]])).fingerprint


@pytest.mark.parametrize("absent", [True, False])
def test_what_cannot_be_read_says_why(tmp_path, absent):
    path = tmp_path / "a.wav"
    if not absent:
        path.write_bytes(b"RIFF")
    facts = scan(StemFile(path))
    assert facts.file == str(path)
    assert facts.failure.startswith("does not exist" if absent else "is ")
    assert facts.missing is absent
    assert (facts.sample_rate, facts.channels, facts.samples) == (0, 0, 0)
