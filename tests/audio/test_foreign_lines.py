"""Standard error while MP3 files are decoded: no lines of the decoder, all lines of others."""

import os
import random
import sys
import threading
from pathlib import Path

import pytest

from soloist.audio import AudioReader, WriteOptions, read_audio
from soloist.audio.foreign_lines import no_foreign_lines
from soloist.errors import AudioError

CASE = Path(__file__).parents[1] / "fixtures/cases/mp3-noise-on-stderr/not-found.mp3"


def id3(version, frame):
    return b"ID3" + bytes([version, 0, 0, 0, 0, 8, 0]) + frame.ljust(1024, b"\0")


@pytest.fixture
def mp3(tmp_path, noise, write_file):
    return write_file(tmp_path / "sound.mp3", noise(2, 200_000), options=WriteOptions("mp3"))


def test_a_page_in_place_of_an_mp3_is_refused_without_a_line(capfd):
    with pytest.raises(AudioError, match=r"not-found\.mp3 is not audio, or damaged"):
        read_audio(CASE)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "tag",
    [
        id3(3, b"TIT2" + (9000).to_bytes(4, "big") + b"\0\0x"),
        id3(4, b"TIT2\xff\xff\xff\xff\0\0x"),
        id3(2, b"TT2\x0f\xff\xff\x07x"),
        id3(4, b"COMM\0\0\0\x03\0\0\x09en"),
    ],
    ids=["wide", "not syncsafe", "version 2", "short comment"],
)
def test_broken_tags_are_read_over_without_a_line(mp3, tag, capfd):
    whole, _ = read_audio(mp3)
    mp3.write_bytes(tag + mp3.read_bytes())
    tagged, _ = read_audio(mp3)
    assert tagged.shape == whole.shape
    assert capfd.readouterr().err == ""


def test_flipped_bits_in_the_middle_make_no_lines(mp3, capfd):
    draw, content = random.Random(0), mp3.read_bytes()
    for _ in range(8):
        damaged = bytearray(content)
        for _ in range(30):
            damaged[draw.randrange(2000, len(damaged))] ^= 1 << draw.randrange(8)
        mp3.write_bytes(damaged)
        try:
            with AudioReader(mp3, tolerance="truncation") as reader:
                assert sum(1 for _ in reader.blocks())
        except AudioError:
            pass
    assert capfd.readouterr().err == ""


def test_lines_of_others_are_kept_in_their_order(capfd):
    noise = b"Note: Trying to resync...\n"
    with no_foreign_lines():
        os.write(2, b"first\n" + noise + b"/x.py:3: UserWarning: second\n")
        thread = threading.Thread(target=os.write, args=(2, b"third\n[src/libmpg123/id3.c:1] error: Whoa!\n"))
        thread.start()
        thread.join()
    assert capfd.readouterr().err == "first\n/x.py:3: UserWarning: second\nthird\n"


def test_without_standard_error_its_descriptor_is_left_to_the_file(mp3, monkeypatch):
    monkeypatch.setattr(sys, "__stderr__", None)
    kept = os.dup(2)
    os.close(2)
    try:
        audio, _ = read_audio(mp3)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert audio.shape == (2, 200_000)
