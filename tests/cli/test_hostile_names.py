"""Inputs and templates with hostile names: no file outside the output folder, nothing a terminal obeys."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be made there")

MODEL = ("-m", "hpss")
NAMES = (
    *(
        "\x1b[2J\x1b]0;title\x07.wav",
        "line\nsoloist: a lie.wav",
        "tab\there.wav",
        "c1\x9b31m.wav",
        "del\x7f.wav",
    ),
    *("...wav", "..wav", " .wav", "CON.wav", "aux.wav", "C:x.wav", "back\\slash.wav", "-x.wav", "~root.wav"),
    *(f"{'a' * 251}.wav", f"{'é' * 125}.wav", f"{'🎸' * 62}.wav", "%s{track}.wav", "[bold]x[red].wav"),
)
TEMPLATES = (
    *("{model}/{track}/{stem}.{ext}", "{track}-{stem}.{ext}", "../{stem}.{ext}", "/tmp/soloist-{stem}.{ext}"),
    *("{track}/../{stem}.{ext}", "{track}/../../{stem}.{ext}", "~/{stem}.{ext}", "{stem}\n{track}.{ext}"),
    *("\x1b[2J{track}{stem}", "{stem}\0", "CON/{track}/{stem}.{ext}", "{track:>300}{stem}", "{stem}/.."),
)


@pytest.fixture(scope="module")
def tone(tmp_path_factory):
    path = tmp_path_factory.mktemp("tone") / "tone.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(800) / 9), 8000, "FLOAT")
    return path


def files_under(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def assert_plain(text):
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text), text


@pytest.fixture
def check(soloist, tone, tmp_path):
    """Separate a file of a name by a template, and compare the folders before and after."""

    def run(name, template, *, listing=False):
        root = tmp_path / "root"
        shutil.rmtree(root, ignore_errors=True)
        (root / "in").mkdir(parents=True)
        shutil.copy(tone, root / "in" / name)
        out = root / "deep" / "out"
        given_as = root / "in" if listing else root / "in" / name
        result = soloist("separate", given_as, *MODEL, "-o", out, "--filename", template)
        assert result.code in (0, 1, 2)
        assert "internal error" not in result.err
        assert files_under(root) - files_under(out) == {root / "in" / name}
        assert len(files_under(out)) == (3 if result.code == 0 else 0)
        assert_plain(result.err)
        assert len(result.err.splitlines()) == 1

    return run


@pytest.mark.parametrize(
    ("name", "template"), [(NAMES[0], TEMPLATES[0]), ("...wav", TEMPLATES[4]), (NAMES[15], TEMPLATES[5])]
)
def test_nothing_is_written_outside_the_output_folder(check, name, template):
    check(name, template)


@pytest.mark.slow
@given(name=st.sampled_from(NAMES), template=st.sampled_from(TEMPLATES), listing=st.booleans())
def test_nothing_is_written_outside_whatever_names_and_templates_hold(check, name, template, listing):
    check(name, template, listing=listing)


def test_a_name_that_is_too_long_stops_no_other_file(soloist, tone, tmp_path):
    long = tmp_path / f"{'a' * 251}.wav"
    for path in (long, tmp_path / "good.wav"):
        shutil.copy(tone, path)
    options = (*MODEL, "-o", tmp_path / "out", "--filename", "{track}-{stem}.{ext}")
    result = soloist("separate", long, tmp_path / "good.wav", *options)
    assert result.code == 1
    assert "a name of 264 bytes is too long" in result.err
    assert {path.name for path in (tmp_path / "out").glob("*.wav")} == {
        "good-harmonic.wav",
        "good-percussive.wav",
    }


@pytest.mark.parametrize(
    "options", [(), ("--json",), ("--dry-run",), ("--dry-run", "--json"), ("--verbose",)]
)
def test_a_name_fits_its_line_and_moves_no_terminal(soloist, tone, tmp_path, options):
    for name in NAMES[:5]:
        shutil.copy(tone, tmp_path / name)
    result = soloist("separate", *map(tmp_path.joinpath, NAMES[:5]), *MODEL, "-o", tmp_path / "out", *options)
    assert result.code == 0, result.err
    assert_plain(result.out + result.err)
    assert not re.search("^soloist: a lie", result.out + result.err, re.MULTILINE)
    if "--json" in options:
        inputs = [json.loads(line)["input"] for line in result.out.splitlines()]
        assert inputs == [str(tmp_path / name) for name in NAMES[:5]]


def test_refusals_and_properties_move_no_terminal(soloist, tone, tmp_path):
    paths = [tmp_path / name for name in NAMES[:5]]
    for path in paths:
        shutil.copy(tone, path)
    told = soloist("info", *paths)
    for path in paths:
        path.write_bytes(b"nothing")
    refused = soloist("separate", *paths, *MODEL, "-o", tmp_path / "out")
    unknown = soloist("info", *paths)
    assert (told.code, refused.code, unknown.code) == (0, 1, 1)
    assert [len(text.splitlines()) for text in (told.out, refused.err, unknown.err)] == [5, 6, 5]
    for text in (told.out, refused.err, unknown.err):
        assert_plain(text)
        assert not re.search("^soloist: a lie", text, re.MULTILINE)


def test_names_of_streams_in_a_file_move_no_terminal(soloist, tmp_path):
    import av

    path = tmp_path / "two.mka"
    with av.open(str(path), "w", format="matroska") as file:
        streams = [file.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(2)]
        for stream in streams:
            stream.metadata["title"] = "\x1b[2Jcleared\nline"
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 8000, 0
            file.mux(stream.encode(frame))
    for command in (("info", path), ("separate", path, *MODEL, "-o", tmp_path / "out", "--dry-run")):
        result = soloist(*command)
        assert result.code == 0, result.err
        assert_plain(result.out.replace("\n", "") + result.err.replace("\n", ""))
        assert "cleared" in result.out


@pytest.mark.slow
def test_a_terminal_shows_escapes_and_a_program_gets_the_name(soloist_process, tone, tmp_path):
    import pty

    path = tmp_path / "\x1b]0;title\x07.wav"
    shutil.copy(tone, path)
    command = ("visualize", "hpss", path, "-o", tmp_path / "pictures\x1b[2J")
    out, err = soloist_process(*command).communicate()
    assert Path(os.fsdecode(out.splitlines()[0])).is_file(), err
    leader, follower = pty.openpty()
    process = soloist_process(*command, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:
            break
    process.wait()
    os.close(leader)
    assert rb"pictures\x1b[2J" in shown
    assert b"pictures\x1b" not in shown
