"""Tags and covers, copied from any format to any other."""

from __future__ import annotations

import itertools
import struct
import zlib

import mutagen
import numpy as np
import pytest

from soloist.audio import FORMATS, StemWriter, WriteOptions, read_audio
from soloist.audio.encode import ITUNES_LENGTH
from soloist.audio.tags import Tags, read_tags, write_tags

TEXT = {
    "title": ["Émigré 🎵"],
    "artist": ["One", "Two"],
    "album": ["Album"],
    "albumartist": ["Various"],
    "composer": ["Someone"],
    "genre": ["Electronic"],
    "date": ["2018-05-30"],
    "comment": ["A comment"],
    "lyrics": ["La la\nla"],
    "copyright": ["CC0"],
    "isrc": ["GBAYE0601498"],
    "initialkey": ["Am"],
    "bpm": ["124"],
    "tracknumber": ["3/12"],
    "discnumber": ["1/2"],
}


def make_png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\x10\x20" * 2)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def sources(tmp_path_factory, noise):
    """File of every format with all tags and a cover."""
    folder = tmp_path_factory.mktemp("tagged")
    paths = {name: write(folder, noise(2, 4000), name) for name in FORMATS}
    for name, path in paths.items():
        write_tags(Tags(TEXT, make_png(), "image/png"), path, name)
    return paths


def write(folder, audio, name, **extra):
    options = WriteOptions(format=name)
    paths = dict.fromkeys(
        ("mixture", "rest") if name == "stem" else ("a",), folder / f"a.{options.extension}"
    )
    mixture = "mixture" if name == "stem" else None
    with StemWriter(paths, 48000, 2, options, mixture=mixture, **extra) as writer:
        writer.write(np.stack([audio] * len(paths)))
        writer.commit()
    return folder / f"a.{options.extension}"


@pytest.mark.parametrize(("source", "target"), list(itertools.product(FORMATS, FORMATS)))
def test_tags_and_cover_are_carried_over(tmp_path, sources, noise, source, target):
    path = write(tmp_path, noise(2, 4000), target, tags_from=sources[source])
    tags = read_tags(path)
    assert tags.text == TEXT
    assert (tags.cover, tags.cover_type) == (make_png(), "image/png")
    assert read_audio(path)[0].shape == (2, 4000)


@pytest.mark.parametrize("target", FORMATS)
def test_a_comment_is_added_behind_the_others_once(tmp_path, sources, noise, target):
    path = write(tmp_path / "1", noise(2, 4000), target, comment="By Soloist")
    assert read_tags(path).text == {"comment": ["By Soloist"]}
    path = write(tmp_path / "2", noise(2, 4000), target, tags_from=sources[target], comment="By Soloist")
    assert read_tags(path).text == {**TEXT, "comment": ["A comment", "By Soloist"]}
    path = write(tmp_path / "3", noise(2, 4000), target, tags_from=path, comment="By Soloist")
    assert read_tags(path).text["comment"] == ["A comment", "By Soloist"]


def test_what_describes_the_old_file_is_left_behind(tmp_path, sources, noise):
    old = mutagen.File(sources["flac"])
    old.tags["replaygain_track_gain"] = ["-6 dB"]
    old.save()
    path = write(tmp_path, noise(2, 4000), "flac", tags_from=sources["flac"])
    assert "replaygain_track_gain" not in mutagen.File(path).tags
    path = write(tmp_path, noise(2, 3000), "m4a", tags_from=sources["m4a"])
    assert bytes(mutagen.File(path).tags[ITUNES_LENGTH][0]).split()[3] == b"%016X" % 3000


def test_sources_without_tags(tmp_path, noise):
    (tmp_path / "text.txt").write_text("no tags in here")
    bare = write(tmp_path, noise(2, 4000), "flac")
    for source in (bare, tmp_path / "text.txt", tmp_path / "missing.mp3"):
        assert read_tags(source) == Tags()
        path = write(tmp_path / "new", noise(2, 4000), "mp3", tags_from=source)
        assert read_tags(path) == Tags()


def test_numbers_that_are_none(tmp_path, noise):
    path = write(tmp_path, noise(2, 4000), "m4a")
    write_tags(Tags({"bpm": ["fast"], "tracknumber": ["A1"], "discnumber": ["2"]}), path, "m4a")
    assert read_tags(path).text == {"discnumber": ["2"]}
    assert read_audio(path)[0].shape == (2, 4000)
