"""Raw samples through pipes: all formats, in pieces that end anywhere."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import soundfile

from soloist.audio import RawFormat
from soloist.errors import AudioError
from soloist.live import FileInput, PipeInput, PipeOutput

FORMATS = ["u8", "s16", "s24", "s32", "f32", "f64"]


def blocks_of(source):
    """All blocks of an input."""
    blocks = []
    while (block := source.read()) is not None:
        blocks.append(block)
    return blocks


def through(raw, block, cuts):
    """Write a block to a pipe, and what a reader gets of it, written again in pieces."""
    leader, follower = os.pipe()
    PipeOutput(follower, raw).write(block)
    os.close(follower)
    data = b"".join(iter(lambda: os.read(leader, 4096), b""))
    os.close(leader)
    leader, follower = os.pipe()

    def write():
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            os.write(follower, data[start:stop])
        os.close(follower)

    threading.Thread(target=write).start()
    source = PipeInput(leader, raw)
    try:
        return np.concatenate(blocks_of(source), axis=1)
    finally:
        os.close(leader)


@pytest.mark.parametrize("sample_type", FORMATS)
def test_samples_come_back_whatever_the_pieces(sample_type):
    raw = RawFormat(8000, 2, sample_type)
    steps = np.random.default_rng(0).integers(-127, 127, (2, 300))
    block = (steps / 128).astype(np.float32)
    np.testing.assert_array_equal(through(raw, block, [1, 3, 50, 51, 200]), block)


@pytest.mark.parametrize("sample_type", ["s16", "s24"])
def test_too_loud_samples_saturate(sample_type):
    found = through(RawFormat(8000, 1, sample_type), np.array([[2.0, -2.0]], np.float32), [])
    np.testing.assert_allclose(found, [[1.0, -1.0]], atol=1e-4)


def test_half_a_sample_and_a_wrong_format_are_named():
    for data, raw, message in (
        (bytes(5), RawFormat(8000, 2), "ends within a sample of 2 x s16: check --format"),
        (b"\xff" * 8, RawFormat(8000, 1, "f32"), "not finite: check --format"),
    ):
        leader, follower = os.pipe()
        os.write(follower, data)
        os.close(follower)
        source = PipeInput(leader, raw)
        with pytest.raises(AudioError, match=message):
            blocks_of(source)
        os.close(leader)


def test_a_file_is_read_in_short_blocks(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", samples, 8000, subtype="FLOAT")
    source = FileInput(tmp_path / "in.wav")
    blocks = blocks_of(source)
    source.close()
    assert (source.sample_rate, source.channels) == (8000, 2)
    assert max(block.shape[1] for block in blocks) == 160
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), samples.T)
