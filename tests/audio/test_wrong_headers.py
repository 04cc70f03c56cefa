"""Headers that contradict the bytes of a file: what decodes is what there is."""

from __future__ import annotations

import os
import struct

import av
import numpy as np
import pytest
import soundfile

from soloist.audio import AudioReader, WriteOptions, probe, read_audio
from soloist.errors import AudioError, UsageError

TOLERANT = {"tolerance": "damage"}


@pytest.fixture(scope="module")
def cases(request):
    return request.config.rootpath / "tests/fixtures/cases"


def read(path, **options):
    """Audio of a file, and the remarks about it."""
    with AudioReader(path, **options) as reader:
        return np.concatenate(list(reader.blocks()), axis=1), reader.remarks


def encode(write_file, path, audio, rate=44100):
    return write_file(path, audio, rate, WriteOptions(format=path.suffix[1:]))


def joined(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def level(audio):
    return np.sqrt(np.mean(np.square(audio)))


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("mp3-joined/joined.mp3", 74_970),
        ("flac-without-length/piped.flac", 22_050),
        ("wav-size-16-more/recorder.wav", 22_050),
        ("wav-gsm/gsm.wav", 8320),
        ("named-pipe/tone.wav", 4000),
    ],
)
def test_cases_have_the_samples_that_decode(cases, name, samples):
    audio, remarks = read(cases / name)
    assert probe(cases / name).samples == audio.shape[1] == samples
    assert level(audio[:, -400:]) > 0
    assert not remarks.losses
    assert remarks.truncation is None
    tail, _ = read(cases / name, start=0.2)
    np.testing.assert_array_equal(tail, audio[:, -tail.shape[1] :])


def test_a_header_that_promises_a_few_samples_more_is_noted(cases):
    path = cases / "wav-size-16-more/recorder.wav"
    assert read(path)[1].notes == [f"{path}: its header promises 8 samples more than there are"]


@pytest.mark.parametrize("rates", [(44100, 44100), (44100, 32000), (22050, 48000)])
def test_joined_mp3_files_are_read_one_after_another(tmp_path, noise, write_file, rates):
    parts = [
        encode(write_file, tmp_path / f"{number}.mp3", noise(2, rate, rate, seed=number), rate)
        for number, rate in enumerate(rates)
    ]
    path = joined(tmp_path / "joined.mp3", *parts)
    audio, _ = read(path)
    assert audio.shape == (2, 2 * rates[0])
    assert probe(path).samples == 2 * rates[0]
    np.testing.assert_array_equal(audio[:, : rates[0]], read_audio(parts[0])[0])
    assert level(audio[:, rates[0] :]) == pytest.approx(level(read_audio(parts[1])[0]), rel=0.05)


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_links_of_chained_ogg_have_the_rate_of_the_first(tmp_path, noise, write_file, suffix):
    rates = (44100, 32000, 44100) if suffix == "ogg" else (48000, 48000, 48000)
    parts = [
        encode(write_file, tmp_path / f"{number}.{suffix}", noise(2, rate, rate, seed=number), rate)
        for number, rate in enumerate(rates)
    ]
    path = joined(tmp_path / f"chained.{suffix}", *parts, parts[0])
    audio, _ = read(path)
    assert audio.shape == (2, 4 * rates[0])
    np.testing.assert_array_equal(audio[:, -rates[0] :], read_audio(parts[0])[0])
    middle, _ = read(path, start=1.5, duration=1)
    np.testing.assert_array_equal(middle, audio[:, rates[0] * 3 // 2 : rates[0] * 5 // 2])


@pytest.mark.parametrize("lengths", [(40_000, 30_000), (30_000, 30_000)])
def test_joined_flac_files_are_read_one_after_another(tmp_path, noise, write_file, lengths):
    audio = [noise(2, length, seed=length) for length in lengths]
    parts = [encode(write_file, tmp_path / f"{n}.flac", part) for n, part in enumerate(audio)]
    decoded, _ = read(joined(tmp_path / "joined.flac", *parts))
    np.testing.assert_allclose(decoded, np.concatenate(audio, axis=1), atol=2**-22)


@pytest.mark.parametrize("count", [0, 0.5, 1.5])
def test_frames_count_and_not_the_header_of_an_mp3(tmp_path, noise, write_file, count):
    path = encode(write_file, tmp_path / "sound.mp3", noise(2, 100_000))
    whole, _ = read_audio(path)
    content = bytearray(path.read_bytes())
    at = max(content.find(b"Xing"), content.find(b"Info")) + 8
    (frames,) = struct.unpack_from(">I", content, at)
    content[at : at + 4] = struct.pack(">I", int(frames * count))
    path.write_bytes(content)
    audio, remarks = read(path)
    assert audio.shape == whole.shape
    assert probe(path).samples == 100_000
    assert np.abs(audio - whole).max() < 1e-3
    assert len(remarks.notes) == (1 if count else 0)


def test_free_format_and_riff_of_mp3(tmp_path, noise, mux):
    settings = {"write_xing": "0", "id3v2_version": "0"}
    path = mux(tmp_path / "plain.mp3", noise(samples=44100), "libmp3lame", "mp3", settings=settings)
    whole, _ = read_audio(path)
    content, position = bytearray(path.read_bytes()), 0
    while position < len(content):
        size = 144_000 * 128 // 44100 + (content[position + 2] >> 1 & 1)
        content[position + 2] &= 0x0F
        position += size
    (tmp_path / "free.mp3").write_bytes(content)
    free, _ = read(tmp_path / "free.mp3")
    assert free.shape == whole.shape
    assert np.abs(free - whole).max() < 1e-3
    riff, _ = read(mux(tmp_path / "mp3.wav", noise(samples=44100), "libmp3lame", "wav"))
    assert np.abs(riff - whole).max() < 1e-3


def patch_data_size(path, change):
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    size = change(struct.unpack_from("<I", content, at)[0])
    content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFE, 1000, 60_000])
def test_stale_sizes_of_wav_files(tmp_path, noise, subtype, size):
    path = tmp_path / "stale.wav"
    soundfile.write(path, noise(samples=50_000).T, 44100, subtype)
    whole, _ = read_audio(path)
    patch_data_size(path, lambda _: size)
    audio, remarks = read(path)
    np.testing.assert_array_equal(audio, whole)
    assert len(remarks.notes) == (size in (1000, 60_000))
    np.testing.assert_array_equal(read(path, start=1)[0], whole[:, 44100:])


@pytest.mark.parametrize("more", [2, 16, 36, 44])
def test_sizes_of_wav_files_that_are_a_few_bytes_too_large(tmp_path, noise, more):
    path = tmp_path / "more.wav"
    soundfile.write(path, noise(1).T, 44100)
    whole, _ = read_audio(path)
    audio, remarks = read(patch_data_size(path, lambda size: size + more))
    np.testing.assert_array_equal(audio, whole)
    assert remarks.notes == [f"{path}: its header promises {more // 2} samples more than there are"]


def test_chunks_and_tags_behind_the_samples_are_no_sound(tmp_path, noise):
    path = tmp_path / "tagged.wav"
    soundfile.write(path, noise().T, 44100)
    whole, plain = read_audio(path)[0], path.read_bytes()
    for tail in (
        b"LIST" + struct.pack("<I", 2000) + bytes(2000),
        b"TAG" + bytes(125),
        b"ID3\3" + bytes(4000),
    ):
        path.write_bytes(plain + tail)
        audio, remarks = read(path)
        np.testing.assert_array_equal(audio, whole)
        assert not remarks.notes


def test_a_size_that_is_wrapped_at_4_gib(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.full((500, 2), 0.25), 44100, "PCM_16")
    with open(path, "r+b") as file:
        file.truncate(44 + 2**32 + 2000)
        file.seek(44 + 2**32)
        file.write(struct.pack("<h", 8192) * 1000)
    try:
        info = probe(path)
        assert info.samples == 2**30 + 500
        tail, rate = read_audio(path, start=(2**30 - 1000) / info.sample_rate)
    finally:
        os.unlink(path)
    assert (rate, tail.shape) == (44100, (2, 1500))
    assert (tail[:, :1000] == 0).all()
    assert (tail[:, 1000:] == 0.25).all()


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "mp3", "ogg", "opus"])
def test_a_truncated_file_is_refused_or_read_to_its_end(tmp_path, noise, write_file, kind):
    path = tmp_path / f"cut.{kind}"
    if kind == "aiff":
        soundfile.write(path, noise(samples=100_000).T, 44100)
    else:
        encode(write_file, path, noise(samples=100_000))
    whole, _ = read_audio(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    with pytest.raises(AudioError, match=r"truncated.*--keep-going"):
        read(path, **TOLERANT)
    audio, remarks = read(path, tolerance="truncation")
    assert 0.3 * whole.shape[1] < audio.shape[1] < 0.75 * whole.shape[1]
    assert "truncated" in remarks.truncation
    assert "--keep-going" not in remarks.truncation
    assert np.abs(audio - whole[:, : audio.shape[1]])[:, :-5000].max() < 1e-3
    assert probe(path, tolerance="truncation").sample_rate in (44100, 48000)


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "m4a", "aac"])
def test_sound_beyond_a_damage_stays_in_its_place(tmp_path, noise, write_file, mux, kind):
    path, audio = tmp_path / f"bad.{kind}", noise(samples=400_000)
    if kind == "aac":
        mux(path, audio, "aac", "adts")
    else:
        encode(write_file, path, audio)
    whole, rate = read_audio(path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(content)
    with pytest.raises(AudioError, match="truncated or corrupt"):
        read(path)
    decoded, remarks = read(path, **TOLERANT)
    assert remarks.losses
    assert all("s are missing at" in loss for loss in remarks.losses)
    # Frames of ADTS have no time stamps: how many are lost is known by the bytes.
    assert abs(whole.shape[1] - decoded.shape[1]) in ((0, 1024) if kind == "aac" else (0,))
    end = rate // 2
    assert np.abs(decoded[:, :end] - whole[:, :end]).max() < 1e-3
    # The noise that AAC decoders make depends on what they decoded before.
    assert np.abs(decoded[:, -end:] - whole[:, -end:]).max() < (0.05 if kind == "aac" else 1e-3)


@pytest.mark.parametrize(("codec", "container"), [("aac", "matroska"), ("flac", "flac")])
def test_streams_without_a_length(tmp_path, noise, codec, container):
    audio, path = noise(2, 60_000), tmp_path / "piped"
    with open(path, "wb") as raw:

        class Pipe:
            def write(self, data):
                return raw.write(data)

        with av.open(Pipe(), "w", format=container) as file:
            stream = file.add_stream(codec, rate=44100)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio.T).reshape(1, -1), "flt", "stereo")
            frame.sample_rate, frame.pts = 44100, 0
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    info = probe(path)
    assert (info.samples, info.duration) in ((None, None), (60_000, 60_000 / 44100))
    assert 60_000 <= read(path)[0].shape[1] < 63_000
    with pytest.raises(AudioError, match=r"ends before 60\.000 s"):
        read(path, start=60)


def test_pipes_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UsageError, match="name - and send it to standard input"):
            probe(path)


def test_a_tolerance_that_does_not_exist(cases):
    with pytest.raises(UsageError, match="tolerance must be one of nothing, damage, truncation"):
        probe(cases / "named-pipe/tone.wav", tolerance="all")
