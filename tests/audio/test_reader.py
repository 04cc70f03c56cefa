"""Reading: all formats, block lengths, excerpts, and errors of files."""

from __future__ import annotations

import hashlib
import json
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soloist.audio import AudioReader, WriteOptions, probe, read_audio
from soloist.errors import AudioError, UsageError

LOSSY = ("mp3", "ogg", "opus", "m4a")


@pytest.fixture(scope="module")
def files(tmp_path_factory, noise, write_file):
    """Noise of some seconds in every writable format."""
    folder = tmp_path_factory.mktemp("formats")
    audio = noise(samples=100_003)
    paths = {
        name: write_file(folder / f"sound.{name}", audio, options=WriteOptions(format=name))
        for name in ("wav", "flac", *LOSSY)
    }
    return paths | {"adts": _add_adts(folder, audio), "ima": _add_adpcm(folder, audio)}


@pytest.fixture(scope="module")
def wholes(files):
    return {name: read_audio(path)[0] for name, path in files.items()}


def _add_adts(folder, audio):
    path = folder / "sound.aac"
    with av.open(str(path), "w", format="adts") as file:
        stream = file.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.T).reshape(1, -1), "flt", "stereo")
        frame.sample_rate, frame.pts = 44100, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _add_adpcm(folder, audio):
    path = folder / "adpcm.wav"
    soundfile.write(path, audio.T, 44100, "IMA_ADPCM")
    return path


FILES = ("wav", "flac", *LOSSY, "adts", "ima")


@pytest.mark.parametrize(
    ("container", "subtype", "step"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-24),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("AIFF", "PCM_16", 2**-15),
        ("AIFF", "PCM_24", 2**-23),
        ("RF64", "PCM_16", 2**-15),
        ("W64", "PCM_24", 2**-23),
        ("CAF", "PCM_16", 2**-15),
        ("AU", "PCM_16", 2**-15),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
    ],
)
@pytest.mark.parametrize(("channels", "rate"), [(1, 8000), (2, 44100), (7, 96000)])
def test_lossless_files_are_read_to_the_bit(tmp_path, noise, container, subtype, step, channels, rate):
    audio = noise(channels, 3001, rate)
    path = tmp_path / "sound.bin"
    soundfile.write(path, audio.T, rate, subtype, format=container)
    decoded, decoded_rate = read_audio(path)
    info = probe(path)
    assert decoded.dtype == np.float32
    assert decoded.shape == audio.shape
    assert np.abs(decoded - audio).max() <= step
    assert (decoded_rate, info.sample_rate, info.channels, info.samples) == (rate, rate, channels, 3001)
    assert info.duration == pytest.approx(3001 / rate)
    assert (info.container, info.codec) == (container.lower(), subtype.lower())


@pytest.mark.parametrize("name", FILES)
@given(length=st.integers(1, 120_000))
def test_samples_do_not_depend_on_the_block_length(files, wholes, name, length):
    length = max(length, 50)
    with AudioReader(files[name], start=0.5) as reader:
        blocks = list(reader.blocks(length))
    assert all(block.shape[1] == length for block in blocks[:-1])
    assert 0 < blocks[-1].shape[1] <= length
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), wholes[name][:, _at(reader, 0.5) :])


@pytest.mark.parametrize("name", FILES)
def test_blocks_of_one_sample(files, wholes, name):
    with AudioReader(files[name], start=1, duration=0.01) as reader:
        blocks = list(reader.blocks(1))
    assert {block.shape for block in blocks} == {(2, 1)}
    first = _at(reader, 1)
    np.testing.assert_array_equal(
        np.concatenate(blocks, axis=1), wholes[name][:, first : first + len(blocks)]
    )


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_an_excerpt_is_that_part_of_the_whole(files, wholes, name, data):
    whole, rate = wholes[name], probe(files[name]).sample_rate
    first = data.draw(st.integers(0, whole.shape[1] - 1))
    count = data.draw(st.integers(1, whole.shape[1]))
    excerpt, _ = read_audio(files[name], start=first / rate, duration=count / rate)
    np.testing.assert_array_equal(excerpt, whole[:, first : first + count])


def test_an_excerpt_ends_with_the_file(files, wholes):
    excerpt, _ = read_audio(files["flac"], start=2, duration=3600)
    np.testing.assert_array_equal(excerpt, wholes["flac"][:, 88200:])


@pytest.mark.parametrize("name", FILES)
def test_start_beyond_the_end_is_an_error(files, name):
    with pytest.raises(AudioError, match=r"ends before 60\.000 s"):
        read_audio(files[name], start=60)


@pytest.mark.parametrize("times", [{"start": -1}, {"start": float("nan")}, {"duration": 0}, {"duration": -1}])
def test_times_that_make_no_sense(files, times):
    with pytest.raises(UsageError, match=next(iter(times))):
        AudioReader(files["wav"], **times)


def test_blocks_are_read_once(files):
    with AudioReader(files["wav"]) as reader:
        list(reader.blocks())
        with pytest.raises(UsageError, match="read before"):
            reader.blocks()
    with AudioReader(files["wav"]) as reader, pytest.raises(UsageError, match="length"):
        reader.blocks(0)


@pytest.mark.parametrize(
    ("codec", "container", "video"),
    [
        ("aac", "matroska", False),
        ("aac", "matroska", True),
        ("aac", "mov", True),
        ("aac", "mp4", True),
        ("alac", "ipod", False),
        ("libopus", "webm", False),
        ("libopus", "matroska", True),
        ("flac", "ogg", False),
    ],
)
def test_containers_of_other_programs_are_aligned(tmp_path, noise, mux, delay_of, codec, container, video):
    rate = 48000 if codec == "libopus" else 44100
    audio = noise(samples=30_000, rate=rate)
    path = mux(tmp_path / "film", audio, codec, container, rate=rate, video=video)
    decoded, decoded_rate = read_audio(path)
    assert decoded_rate == rate
    assert delay_of(decoded, audio) == 0
    assert 0 <= decoded.shape[1] - audio.shape[1] < 2048
    assert np.std(decoded[:, :30_000] - audio) < 0.2 * np.std(audio)
    assert probe(path).duration == pytest.approx(30_000 / rate, abs=0.1)


def test_a_film_without_sound(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        file.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"silent\.mp4 has no sound"):
        probe(path)


def test_mp3_without_a_header_is_as_long_as_its_frames(tmp_path, noise, mux, delay_of):
    audio = noise(samples=200_000)
    plain = {"write_xing": "0", "id3v2_version": "0"}
    high = mux(tmp_path / "high.mp3", audio, "libmp3lame", "mp3", bitrate=320_000, settings=plain)
    low = mux(tmp_path / "low.mp3", audio, "libmp3lame", "mp3", bitrate=32_000, settings=plain)
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(high.read_bytes() + low.read_bytes())
    decoded, _ = read_audio(joined)
    assert probe(joined).samples == decoded.shape[1] > 400_000
    tail, _ = read_audio(joined, start=6)
    np.testing.assert_array_equal(tail, decoded[:, 6 * 44100 :])


@pytest.mark.parametrize("name", ["a: b 🎵.m4a", "http: x.flac", "-n %d.opus", "with space.raw", "no suffix"])
def test_names_that_mean_something_elsewhere(tmp_path, files, wholes, name):
    kind = name.rpartition(".")[2] if name.rpartition(".")[2] in FILES else "m4a"
    path = tmp_path / name
    path.write_bytes(files[kind].read_bytes())
    np.testing.assert_array_equal(read_audio(path)[0], wholes[kind])


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_wav_streams_that_were_never_finished(tmp_path, noise, size):
    audio = noise(samples=5000)
    path = tmp_path / "stream.wav"
    soundfile.write(path, audio.T, 44100, "PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    decoded, _ = read_audio(path)
    assert decoded.shape == audio.shape
    assert np.abs(decoded - audio).max() <= 2**-15


def test_missing_empty_and_alien_files(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("This is not a sound, whatever its name says.\n" * 50)
    (tmp_path / "random.mp3").write_bytes(np.random.default_rng(0).bytes(20_000))
    soundfile.write(tmp_path / "nothing.wav", np.zeros((0, 2)), 44100)
    for name, reason in {
        "missing.wav": "does not exist",
        "empty.wav": "is empty",
        "text.wav": "not audio",
        "random.mp3": "not audio",
        "nothing.wav": "holds no samples",
        ".": "is a folder",
    }.items():
        with pytest.raises(AudioError, match=reason) as caught:
            read_audio(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.02, 0.4, 0.97])
@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "ogg", "aiff", "m4a"])
def test_truncated_files_are_named(tmp_path, files, noise, name, share):
    path = tmp_path / f"cut.{name}"
    if name == "aiff":
        soundfile.write(path, noise().T, 44100)
    else:
        path.write_bytes(files[name].read_bytes())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(AudioError, match=r"cut\.\w+ is (truncated|not audio)|or is damaged"):
        read_audio(path)


def test_where_a_truncated_flac_ends(tmp_path, files, wholes):
    content = files["flac"].read_bytes()
    path = tmp_path / "cut.flac"
    path.write_bytes(content[: len(content) // 2])
    whole, position = wholes["flac"], 0
    with AudioReader(path) as reader:
        blocks = reader.blocks(4096)
        with pytest.raises(AudioError, match=r"stops at (0\.9|1\.[01])\d\d s"):  # noqa: PT012
            for block in blocks:
                np.testing.assert_array_equal(block, whole[:, position : position + 4096])
                position += block.shape[1]
    assert position > 0.8 * 44100


def test_mp4_whose_media_is_cut(tmp_path, noise, mux):
    path = mux(
        tmp_path / "cut.m4a", noise(samples=200_000), "aac", "ipod", settings={"movflags": "faststart"}
    )
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(AudioError, match=r"cut\.m4a is truncated: \d+ bytes are promised, \d+ exist"):
        read_audio(path)


@pytest.mark.parametrize("name", ["flac", "m4a"])
def test_corrupt_files_are_named(tmp_path, files, name):
    content = bytearray(files[name].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = np.random.default_rng(1).bytes(4000)
    path = tmp_path / f"bad.{name}"
    path.write_bytes(content)
    with pytest.raises(
        AudioError, match=rf"bad\.{name} is truncated or corrupt: decoding stops at \d\.\d+ s"
    ):
        read_audio(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, noise, value):
    audio = noise(samples=90_000)
    audio[1, 66150] = value
    path = tmp_path / "bad.wav"
    soundfile.write(path, audio.T, 44100, "FLOAT")
    with pytest.raises(
        AudioError, match=r"bad\.wav has a sample that is not a number or infinite at 1\.500 s"
    ):
        read_audio(path)
    assert read_audio(path, duration=1.5)[0].shape == (2, 66150)


def test_a_stream_that_does_not_exist(files):
    for name in ("wav", "m4a"):
        with pytest.raises(UsageError, match=r"has no audio track 2; it has: 1$"):
            read_audio(files[name], stream=1)


def test_memory_does_not_depend_on_the_length(tmp_path, noise):
    second = noise(samples=44100)
    peaks = []
    for seconds in (5, 50):
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, np.tile(second, seconds).T, 44100)
        tracemalloc.start()
        with AudioReader(path) as reader:
            count = sum(block.shape[1] for block in reader.blocks())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == seconds * 44100
    assert peaks[1] < 1.1 * peaks[0]


def test_the_real_clip_decodes_to_the_reference(shared: Path):
    path = shared / "data/musdb-sample/Music Delta - 80s Rock.stem.mp4"
    expected = json.loads((shared / "reference/tdc17/sdr.json").read_text())["decode"]
    info = probe(path)
    assert info.streams == ("mixture", "drums", "bass", "other", "vocals")
    for number, name in enumerate(info.streams):
        audio, rate = read_audio(path, stream=number)
        assert rate == 44100
        assert list(audio.shape) == expected[name]["shape"]
        assert hashlib.sha256(audio.tobytes()).hexdigest() == expected[name]["sha256_float32_C_order"]


def _at(reader: AudioReader, seconds: float) -> int:
    return round(seconds * reader.sample_rate)
