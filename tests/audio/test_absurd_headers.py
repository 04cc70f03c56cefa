"""Headers that state what no recording has, and damage that libraries answer in odd ways."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from soloist.audio import AudioReader, WriteOptions, probe, read_audio
from soloist.audio.tags import Tags, read_tags, write_tags
from soloist.errors import AudioError


@pytest.fixture
def wave(tmp_path, noise):
    """A WAV file, and a function that writes fields of its header anew."""

    def change(channels=2, rate=44100, samples=2000):
        path = tmp_path / "sound.wav"
        soundfile.write(path, noise(samples=samples).T, 44100, "PCM_16")
        content = bytearray(path.read_bytes())
        struct.pack_into(
            "<HIIH", content, 22, channels, rate, rate * 2 * channels % 2**32, 2 * channels % 2**16
        )
        path.write_bytes(content)
        return path

    return change


@pytest.mark.parametrize(("channels", "rate"), [(2, 2**31 - 1), (2, 6_250_001), (1000, 44100), (256, 96000)])
def test_what_no_recording_has_is_refused(wave, channels, rate):
    with pytest.raises(AudioError, match=f"its header states {channels} channels at {rate} Hz"):
        probe(wave(channels, rate))


@pytest.mark.parametrize(("channels", "rate"), [(0, 44100), (65535, 44100), (2, 0), (2, 2**32 - 1)])
def test_no_channels_and_no_rate_are_refused(wave, channels, rate):
    with pytest.raises(AudioError):
        read_audio(wave(channels, rate))


@pytest.mark.parametrize(
    ("channels", "rate"), [(2, 1), (2, 768_000), (1, 12_500_000), (250, 44100), (1000, 12_500)]
)
def test_odd_recordings_are_read(wave, channels, rate):
    audio, found = read_audio(wave(channels, rate))
    assert found == rate
    assert audio.shape == (channels, 4000 // channels)


@pytest.mark.parametrize(
    ("value", "words"),
    [(3e38, "of 3.0e\\+38"), (-2e35, "of -2.0e\\+35"), (np.nan, "not a number"), (np.inf, "infinite")],
)
def test_a_sample_beyond_all_sound_is_refused(tmp_path, value, words):
    audio = np.zeros((2000, 2), np.float32)
    audio[1000, 1] = value
    soundfile.write(tmp_path / "loud.wav", audio, 8000, "FLOAT")
    with pytest.raises(AudioError, match=f"has a sample .*{words}.* at 0.125 s; repair it first"):
        read_audio(tmp_path / "loud.wav")


@pytest.mark.parametrize("value", [1.5, 2.0**31, 1e30])
def test_a_loud_sample_is_kept(tmp_path, value):
    audio = np.full((200, 1), value, np.float32)
    soundfile.write(tmp_path / "loud.wav", audio, 8000, "FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "loud.wav")[0], audio.T)


def test_midi_sample_dumps_print_nothing(tmp_path, noise, capfd):
    path = tmp_path / "dump.sds"
    audio = noise(1, 4000)
    soundfile.write(path, audio.T, 44100, "PCM_16", format="SDS")
    assert np.abs(read_audio(path)[0][:, :4000] - audio).max() < 2**-14
    content = bytearray(path.read_bytes())
    content[200] ^= 0x55
    path.write_bytes(content)
    with AudioReader(path, tolerance="truncation") as reader:
        assert sum(block.shape[1] for block in reader.blocks())
    assert capfd.readouterr().out == ""


def test_blocks_of_many_channels_are_short(wave):
    with AudioReader(wave(1000, 8000)) as reader:
        assert max(block.nbytes for block in reader.blocks()) <= 2**22


def test_names_in_headers_may_be_no_utf8(tmp_path, noise, mux):
    path = mux(tmp_path / "sound.mka", noise(samples=5000), "flac", "matroska")
    content = path.read_bytes()
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"\xff\xfe\xf0\xca"))
    assert read_audio(path)[0].shape == (2, 5000)


def test_damaged_tags_are_no_tags_or_such_as_can_be_written(tmp_path, noise, write_file):
    copy = write_file(tmp_path / "copy.flac", noise(samples=5000), options=WriteOptions(format="flac"))
    untagged = copy.read_bytes()
    for suffix in ("flac", "mp3", "ogg", "m4a", "wav"):
        options = WriteOptions(format=suffix)
        path = write_file(tmp_path / f"sound.{suffix}", noise(samples=5000), options=options)
        write_tags(Tags({"title": ["a song"], "artist": ["nobody"], "tracknumber": ["3/12"]}), path, suffix)
        content = path.read_bytes()
        assert read_tags(path).text["title"] == ["a song"]
        draw = np.random.default_rng(5)
        for _ in range(15):
            damaged = bytearray(content)
            for place in draw.integers(0, min(len(content), 600), 3):
                damaged[place] = draw.choice([0, 127, 128, 255])
            path.write_bytes(damaged)
            found = read_tags(path)
            copy.write_bytes(untagged)
            write_tags(found, copy, "flac")
            assert read_tags(copy).text == found.text


@pytest.mark.parametrize(("kind", "place", "width"), [("AU", 8, 4), ("CAF", None, 8)])
def test_an_unknown_size_is_no_truncation(tmp_path, noise, kind, place, width):
    path = tmp_path / "open"
    soundfile.write(path, noise(samples=2000).T, 44100, "PCM_16", format=kind)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4 if place is None else place
    content[place : place + width] = b"\xff" * width
    path.write_bytes(content)
    assert read_audio(path)[0].shape == (2, 2000)


def test_time_stamps_that_claim_hours_of_silence_are_damage(tmp_path, noise, mux):
    path = mux(tmp_path / "film.mkv", noise(samples=20_000), "aac", "matroska", video=True)
    whole = read_audio(path)[0]
    content = bytearray(path.read_bytes())
    clusters = [at for at in range(len(content)) if content[at : at + 4] == b"\x1f\x43\xb6\x75"]
    at = content.index(b"\xe7", clusters[-1])
    width = content[at + 1] & 0x0F
    content[at + 1 : at + 2 + width] = bytes([0x88]) + (3_600_000 * 20).to_bytes(8, "big")
    path.write_bytes(content)
    with AudioReader(path, tolerance="truncation") as reader:
        samples = sum(block.shape[1] for block in reader.blocks())
    assert samples <= whole.shape[1] + 70 * 44100
