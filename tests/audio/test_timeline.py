"""Sound that belongs to a picture: late beginnings, gaps, broken time stamps, several tracks."""

import struct
from base64 import b64decode
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from mutagen.mp4 import MP4, MP4Cover

from soloist.audio import AudioReader, probe, read_audio
from soloist.audio.track_choice import find_stream
from soloist.errors import UsageError

CASES = Path(__file__).parents[1] / "fixtures/cases"
RATE = 44100
PNG = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FILMS = [
    ("aac", "mp4", {}),
    ("aac", "mp4", {"use_editlist": "0"}),
    ("aac", "mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ("aac", "mov", {}),
    ("alac", "mp4", {}),
    ("aac", "matroska", {}),
    ("flac", "matroska", {}),
    ("libmp3lame", "matroska", {}),
    ("aac", "mpegts", {}),
    ("mp2", "mpeg", {}),
    ("wmav2", "asf", {}),
]


def film(path, audio, codec, container, *, starts=(0.0,), picture=2.0, settings=None, tracks=1, titles=()):
    """Write a film whose sound has a part from each of the starts on, in s."""
    with av.open(str(path), "w", format=container, options=settings or {}) as file:
        shown = file.add_stream("mpeg4", rate=25) if picture else None
        if shown is not None:
            shown.width, shown.height, shown.pix_fmt = 32, 32, "yuv420p"
        sounds = [file.add_stream(codec, rate=RATE) for _ in range(tracks)]
        for sound in sounds:
            sound.bit_rate = 128_000
        for sound, title in zip(sounds, titles, strict=False):
            sound.metadata.update(title)
        for number in range(int(picture * 25)):
            shot = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), "yuv420p")
            shot.pts = number
            file.mux(shown.encode(shot))
        if shown is not None:
            file.mux(shown.encode(None))
        for number, sound in enumerate(sounds):
            for start, part in zip(starts, np.array_split(audio, len(starts), axis=1), strict=True):
                packed = np.ascontiguousarray(part.T / (number + 1)).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, "flt", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, round(start * RATE), Fraction(1, RATE)
                file.mux(sound.encode(frame))
            file.mux(sound.encode(None))
    return path


@pytest.fixture
def pulse(noise):
    """Half a second of noise."""
    return noise(2, RATE // 2)


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4"])
def test_sound_that_begins_after_the_picture_is_late_by_silence(name):
    path = CASES / "audio-starts-late" / name
    audio, rate = read_audio(path)
    assert audio.shape[1] / rate == pytest.approx(1.8, abs=0.05)
    onset = int(np.argmax(np.abs(audio[0]) > 0.5 * np.abs(audio).max())) / rate
    assert onset == pytest.approx(0.8, abs=0.01)
    assert probe(path).duration == pytest.approx(audio.shape[1] / rate, abs=0.25)


@pytest.mark.parametrize(("codec", "container", "settings"), FILMS)
def test_late_sound_stays_with_the_picture_in_every_container(
    tmp_path, pulse, delay_of, codec, container, settings
):
    late, early = (
        film(tmp_path / f"{start}.film", pulse, codec, container, starts=[start], settings=settings)
        for start in (0.8, 0.0)
    )
    audio, rate = read_audio(late)
    assert delay_of(audio, pulse) / rate == pytest.approx(0.8, abs=0.002)
    assert probe(late).duration >= audio.shape[1] / rate - 0.15
    assert delay_of(read_audio(early)[0], pulse) / rate == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("codec", "container", "frame"),
    [("flac", "matroska", 4608), ("alac", "mp4", 4096), ("alac", "mov", 4096)],
)
@pytest.mark.parametrize("gap", [0.02, 0.1, 0.7, 12.0])
def test_gaps_in_the_time_stamps_are_silent(tmp_path, noise, codec, container, frame, gap):
    audio = noise(2, 2 * frame)
    second = frame / RATE + gap
    path = film(tmp_path / "gap.film", audio, codec, container, starts=[0, second], picture=second + 1)
    read, rate = read_audio(path)
    begin, shift = round(second * rate), round(0.001 * rate)  # Matroska has time stamps in ms.
    parts = (read[:, begin + lag : begin + lag + frame] for lag in range(-shift, shift + 1))
    errors = [np.abs(part - audio[:, frame:]).max() for part in parts if part.shape[1] == frame]
    assert min(errors) < 1e-4
    np.testing.assert_allclose(read[:, :frame], audio[:, :frame], atol=1e-4)
    assert not read[:, frame : begin - shift].any()


def test_an_excerpt_counts_on_the_clock_of_the_film(tmp_path, pulse):
    path = film(tmp_path / "late.mkv", pulse, "flac", "matroska", starts=[0.8])
    whole, rate = read_audio(path)
    part, _ = read_audio(path, start=0.7, duration=0.3)
    np.testing.assert_array_equal(part, whole[:, round(0.7 * rate) : round(rate * 1.0)])
    assert not part[:, : round(0.1 * rate) - 1].any()
    assert part[:, round(0.1 * rate) + 1 :].any()


def test_sound_without_a_picture_begins_at_once(tmp_path, pulse):
    path = film(tmp_path / "sound.mka", pulse, "flac", "matroska", starts=[0.8], picture=0)
    np.testing.assert_allclose(read_audio(path)[0], pulse, atol=1e-4)


def test_a_cover_is_no_picture_of_a_film(tmp_path, pulse):
    path = film(tmp_path / "song.m4a", pulse, "aac", "mp4", starts=[0.8], picture=0)
    length = read_audio(path)[0].shape[1]
    tagged = MP4(path)
    tagged["covr"] = [MP4Cover(PNG, MP4Cover.FORMAT_PNG)]
    tagged.save()
    with av.open(str(path)) as file:
        assert file.streams.video
    assert read_audio(path)[0].shape[1] == length < 0.7 * RATE


def test_long_gaps_are_read_in_small_blocks(tmp_path, noise):
    path = film(tmp_path / "gap.mkv", noise(2, 9216), "flac", "matroska", starts=[0, 30], picture=31)
    with AudioReader(path) as reader:
        lengths = [block.shape[1] for block in reader.blocks(1000)]
    assert max(lengths) == 1000
    assert sum(lengths) == pytest.approx(30 * RATE + 4608, abs=RATE // 100)


def test_a_time_stamp_beyond_the_film_is_no_gap(tmp_path, noise):
    audio = noise(2, 9216)
    path = film(tmp_path / "jump.mkv", audio, "flac", "matroska", starts=[0, 3600], picture=1)
    content = bytearray(path.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3  # The duration of the segment, ms.
    content[at : at + 8] = struct.pack(">d", 2000)
    path.write_bytes(content)
    np.testing.assert_allclose(read_audio(path)[0], audio, atol=1e-4)


def test_a_new_clock_of_a_transport_stream_is_no_gap(tmp_path, noise):
    audio = noise(2, 2 * 1152)
    path = film(tmp_path / "jump.ts", audio, "mp2", "mpegts", starts=[0, 3600], picture=1)
    assert read_audio(path)[0].shape[1] < 5 * 1152


def test_a_track_is_chosen_by_number_language_or_name(tmp_path, pulse):
    titles = [{"language": "eng"}, {"language": "ger", "title": "Kommentar"}, {"title": "Music"}]
    path = film(tmp_path / "film.mkv", pulse, "flac", "matroska", tracks=3, titles=titles)
    info = probe(path)
    assert info.titles == ["1 (eng)", "2 Kommentar (ger)", "3 Music"]
    first, rate = read_audio(path)
    for wanted, number in [
        (1, 1),
        ("de", 1),
        ("DEU", 1),
        ("ger", 1),
        ("kommentar", 1),
        ("music", 2),
        ("en-GB", 0),
    ]:
        assert probe(path, stream=wanted).stream == number
        track, _ = read_audio(path, stream=wanted)
        np.testing.assert_allclose(track, first / (number + 1), atol=1e-4)
    for wanted, message in [
        ("fra", "no audio track 'fra'"),
        (3, "no audio track 4"),
        (-1, "no audio track 0"),
    ]:
        with pytest.raises(UsageError, match=rf"{message}; it has: 1 \(eng\), 2 Kommentar \(ger\), 3 Music"):
            read_audio(path, stream=wanted)
    assert rate == RATE


def test_a_language_of_two_tracks_needs_a_number():
    with pytest.raises(
        UsageError, match=r"several audio tracks 'eng'; choose one by number: 1 \(eng\), 2 \(eng\)"
    ):
        find_stream(Path("film.mkv"), "eng", ["audio 1", "audio 2"], ["eng", "eng"])


def test_both_tracks_of_the_case_are_read():
    path = CASES / "two-audio-tracks/two.mkv"
    seconds = [read_audio(path, stream=number)[0].shape[1] / 22050 for number in (0, 1)]
    assert seconds == pytest.approx([1.0, 0.7], abs=0.1)
