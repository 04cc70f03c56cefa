"""Description of stems in MP4 files."""

from __future__ import annotations

import json

import mutagen
import numpy as np
import pytest

from soloist.audio import WriteOptions, probe, read_audio
from soloist.audio.stem_atom import describe_stems, read_stem_atom, write_stem_atom


@pytest.mark.parametrize("tagged", [False, True])
def test_an_atom_can_be_added_and_read(tmp_path, noise, mux, tagged):
    path = mux(tmp_path / "a.mp4", noise(), "aac", "mp4", settings={"fflags": "+bitexact"})
    if tagged:
        file = mutagen.File(path)
        file.tags["\xa9nam"] = ["Title"]
        file.save()
    before = read_audio(path)[0]
    assert read_stem_atom(path) is None
    write_stem_atom(path, describe_stems(["drums", "bass"]))
    assert [stem["name"] for stem in json.loads(read_stem_atom(path))["stems"]] == ["Drums", "Bass"]
    np.testing.assert_array_equal(read_audio(path)[0], before)
    assert (mutagen.File(path).tags or {}).get("\xa9nam") == (["Title"] if tagged else None)


def test_tags_can_be_changed_afterwards(tmp_path, noise, mux):
    path = mux(tmp_path / "a.mp4", noise(), "aac", "mp4")
    write_stem_atom(path, b"{}")
    file = mutagen.File(path)
    file.tags["\xa9cmt"] = ["long" * 10_000]
    file.save()
    assert read_stem_atom(path) == b"{}"


def test_names_come_from_the_atom_where_streams_have_no_title(tmp_path, noise, write_two_streams):
    path = write_two_streams(tmp_path / "a.stem.mp4", noise())
    assert probe(path).streams == ("audio 1", "audio 2")
    write_stem_atom(path, describe_stems(["vocals"]))
    assert probe(path).streams == ("mixture", "vocals")


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b'{"stems": [1]}', b'{"stems": [{}]}'])
def test_a_damaged_atom_does_no_harm(tmp_path, noise, write_two_streams, content):
    path = write_two_streams(tmp_path / "a.mp4", noise())
    write_stem_atom(path, content)
    assert probe(path).streams == ("audio 1", "audio 2")


def test_files_that_are_no_mp4(tmp_path, noise, write_file):
    path = write_file(tmp_path / "a.flac", noise(), options=WriteOptions(format="flac"))
    assert read_stem_atom(path) is None


@pytest.fixture
def write_two_streams():
    import av

    def write(path, audio):
        with av.open(str(path), "w", format="mp4") as file:
            streams = [file.add_stream("aac", rate=44100) for _ in range(2)]
            for stream in streams:
                packed = np.ascontiguousarray(audio.T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, "flt", "stereo")
                frame.sample_rate, frame.pts = 44100, 0
                file.mux(stream.encode(frame))
            for stream in streams:
                file.mux(stream.encode(None))
        return path

    return write
