"""Standard input: raw, WAV without a length, or any file."""

from __future__ import annotations

import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from soloist.audio import RawFormat, WriteOptions, read_audio, spool_stream
from soloist.errors import AudioError, UsageError


class Pipe(io.RawIOBase):
    """Stream without seeking that returns pieces of arbitrary lengths."""

    def __init__(self, content):
        self.content = memoryview(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), len(self.content), 4097)
        buffer[:count] = self.content[:count]
        self.content = self.content[count:]
        return count


def pipe(content):
    return io.BufferedReader(Pipe(content))


@pytest.mark.parametrize(
    ("sample_type", "dtype", "scale"),
    [("s16", "<i2", 2**15), ("s32", "<i4", 2**31), ("f32", "<f4", 1), ("f64", "<f8", 1), ("u8", "u1", 2**7)],
)
def test_raw_samples(tmp_path, noise, sample_type, dtype, scale):
    audio = noise(3, 5000)
    offset = 128 if sample_type == "u8" else 0
    encoded = (audio.T.astype(float) * scale + offset).astype(dtype)
    path = spool_stream(pipe(encoded.tobytes()), tmp_path, raw=RawFormat(22050, 3, sample_type))
    decoded, rate = read_audio(path)
    assert rate == 22050
    np.testing.assert_allclose(decoded, audio, atol=max(1 / scale if scale > 1 else 0, 1e-7))


def test_raw_samples_of_24_bits(tmp_path):
    content = b"".join(value.to_bytes(3, "little", signed=True) for value in (-(2**23), -1, 0, 2**22))
    path = spool_stream(pipe(content), tmp_path, raw=RawFormat(44100, 1, "s24"))
    np.testing.assert_array_equal(read_audio(path)[0], [[-1, -(2.0**-23), 0, 0.5]])


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 0x7FFFF000])
def test_wav_streams(tmp_path, noise, size):
    audio = noise(2, 300_000)
    memory = io.BytesIO()
    soundfile.write(memory, audio.T, 44100, "PCM_24", format="WAV")
    content = bytearray(memory.getvalue())
    if size is not None:
        at = content.index(b"data") + 4
        content[4:8] = content[at : at + 4] = struct.pack("<I", size)
    else:
        content += b"LIST\x04\x00\x00\x00INFO"
    stream = pipe(bytes(content))
    path = spool_stream(stream, tmp_path)
    assert soundfile.info(path).frames == 300_000
    np.testing.assert_allclose(read_audio(path)[0], audio, atol=2**-23)
    assert stream.read() == b""


@pytest.mark.parametrize("name", ["flac", "mp3", "m4a", "ogg"])
def test_other_formats_pass_through(tmp_path, noise, write_file, name):
    original = write_file(tmp_path / f"sound.{name}", noise(), options=WriteOptions(format=name))
    path = spool_stream(pipe(original.read_bytes()), tmp_path)
    assert path.read_bytes() == original.read_bytes()
    np.testing.assert_array_equal(read_audio(path)[0], read_audio(original)[0])


def test_streams_that_break_off(tmp_path, noise):
    memory = io.BytesIO()
    soundfile.write(memory, noise().T, 44100, format="WAV")
    content = memory.getvalue()
    for stream, raw, reason in [
        (b"", None, "is empty"),
        (b"", RawFormat(44100, 2), "is empty"),
        (bytes(4001), RawFormat(44100, 2), "middle of a sample"),
        (content[:30], None, "before its samples"),
    ]:
        with pytest.raises(AudioError, match=reason):
            spool_stream(pipe(stream), tmp_path, raw=raw)
    assert not list(tmp_path.iterdir())
    with pytest.raises(AudioError, match="truncated"):
        read_audio(spool_stream(pipe(content[:-100]), tmp_path))


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(AudioError, match="cannot keep the stream"):
        spool_stream(pipe(bytes(100)), tmp_path / "missing", raw=RawFormat(44100, 1))


@pytest.mark.parametrize("arguments", [(0, 2, "s16"), (44100, 0, "s16"), (44100, 2, "s17")])
def test_raw_formats_that_make_no_sense(arguments):
    with pytest.raises(UsageError, match="raw"):
        RawFormat(*arguments)


def test_memory_does_not_depend_on_the_length(tmp_path):
    peaks = []
    for megabytes in (8, 64):
        content = bytes(megabytes << 20)
        tracemalloc.start()
        spool_stream(pipe(content), tmp_path, raw=RawFormat(44100, 2))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
