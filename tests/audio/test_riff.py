"""WAV files: headers for other programs, RF64, chunks."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from soloist.audio import probe, read_audio, spool_stream
from soloist.audio.riff import HEADER_SIZE, WaveWriter, describe_pcm, read_chunks
from soloist.errors import AudioError

SUBTYPES = {
    "u8": "PCM_U8",
    "s16": "PCM_16",
    "s24": "PCM_24",
    "s32": "PCM_32",
    "f32": "FLOAT",
    "f64": "DOUBLE",
}


def write(path, audio, sample_type="f32", **extra):
    with WaveWriter(path, describe_pcm(44100, audio.shape[0], sample_type), **extra) as file:
        file.write(np.ascontiguousarray(audio.T).tobytes())


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 11])
@pytest.mark.parametrize("sample_type", SUBTYPES)
@pytest.mark.parametrize("riff_limit", [2**32 - 1, 1000])
def test_other_programs_read_what_is_written(tmp_path, channels, sample_type, riff_limit):
    path = tmp_path / "sound.wav"
    size = int(sample_type[1:]) // 8
    data = bytes(range(1, 64)) * channels * size
    with WaveWriter(path, describe_pcm(48000, channels, sample_type), riff_limit=riff_limit) as file:
        file.write(data)
    info = soundfile.info(path)
    big = len(data) > 1000 >= riff_limit
    assert path.read_bytes()[:4] == (b"RF64" if big else b"RIFF")
    assert (info.samplerate, info.channels, info.frames) == (48000, channels, 63)
    assert info.subtype == SUBTYPES[sample_type]
    with open(path, "rb") as file:
        chunks = read_chunks(file, file.read(HEADER_SIZE))
        assert chunks.data_size == len(data)
        assert file.read(len(data)) == data


def test_beyond_the_limit_a_file_is_rf64_and_reads_the_same(tmp_path, noise):
    audio = noise(2, 5000)
    size = 8 + 4 + 36 + 26 + 12 + 8 + audio.nbytes
    for limit, kind in [(size - 8, b"RIFF"), (size - 9, b"RF64")]:
        path = tmp_path / "sound.wav"
        write(path, audio, riff_limit=limit)
        assert path.stat().st_size == size
        assert path.read_bytes()[:4] == kind
        assert probe(path).samples == 5000
        np.testing.assert_array_equal(read_audio(path)[0], audio)


def chunks_of(path):
    """Names and contents of the chunks of a WAV file; of the samples, only their size."""
    content, at, found = path.read_bytes(), HEADER_SIZE, {}
    while at < len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        found[name.decode()] = content[at + 8 : at + 8 + size]
        at += 8 + (len(content) if name == b"data" else size + size % 2)
    return found


@pytest.mark.parametrize("riff_limit", [2**32 - 1, 1000])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("sample_type", SUBTYPES)
def test_float_files_have_cb_size_and_fact_and_pcm_has_neither(tmp_path, sample_type, channels, riff_limit):
    path = tmp_path / "sound.wav"
    with WaveWriter(path, describe_pcm(44100, channels, sample_type), riff_limit=riff_limit) as file:
        file.write(bytes(501 * channels * int(sample_type[1:]) // 8))
    chunks, is_float = chunks_of(path), sample_type.startswith("f")
    assert len(chunks["fmt "]) == (40 if channels > 2 else 18 if is_float else 16)
    if len(chunks["fmt "]) > 16:
        assert struct.unpack_from("<H", chunks["fmt "], 16)[0] == len(chunks["fmt "]) - 18
    assert chunks.get("fact") == (struct.pack("<I", 501) if is_float else None)
    if "ds64" in chunks:
        assert struct.unpack_from("<8xQQ", chunks["ds64"]) == (
            501 * channels * int(sample_type[1:]) // 8,
            501,
        )


def test_a_stream_of_floats_without_cb_size_gets_it_as_a_file(tmp_path):
    samples = np.arange(10, dtype="<f4").tobytes()
    plain = describe_pcm(44100, 1, "f32")[:16]
    stream = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + plain + b"data\xff\xff\xff\xff"
    chunks = chunks_of(spool_stream(io.BytesIO(stream + samples), tmp_path))
    assert (chunks["fmt "], chunks["fact"]) == (plain + bytes(2), struct.pack("<I", 10))


def test_a_stream_of_a_format_that_packs_samples_gets_no_count(tmp_path):
    adpcm = struct.pack("<HHIIHHHH", 0x11, 1, 8000, 4055, 256, 4, 2, 505)
    stream = (
        b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 20) + adpcm + b"data" + struct.pack("<I", 512)
    )
    chunks = chunks_of(spool_stream(io.BytesIO(stream + bytes(512)), tmp_path))
    assert chunks["fmt "] == adpcm
    assert "fact" not in chunks


def test_a_truncated_rf64_is_noticed(tmp_path, noise):
    path = tmp_path / "sound.wav"
    write(path, noise(), riff_limit=1000)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(AudioError, match=r"sound\.wav is truncated"):
        probe(path)


def test_an_odd_number_of_bytes_is_padded(tmp_path):
    path = tmp_path / "odd.wav"
    write(path, np.full((1, 7), 130, np.uint8), "u8")
    assert path.stat().st_size % 2 == 0
    np.testing.assert_allclose(read_audio(path)[0], np.full((1, 7), 2 / 128))


def test_other_chunks_before_the_samples_are_passed_over(tmp_path, noise):
    path = tmp_path / "sound.wav"
    write(path, noise(1, 100))
    content = path.read_bytes()
    extra = b"LIST" + (100_001).to_bytes(4, "little") + bytes(100_002)
    at = content.index(b"fmt ")
    chunks = read_chunks(io.BytesIO(content[HEADER_SIZE:at] + extra + content[at:]), content[:HEADER_SIZE])
    assert chunks.data_size == 400
    assert chunks.data_start == content.index(b"data") + 8 + len(extra)


def test_other_kinds_have_no_chunks(tmp_path):
    for head in (b"fLaC" + bytes(8), b"RIFF\0\0\0\0AVI ", b"", b"RIFF"):
        assert read_chunks(io.BytesIO(), head) is None
