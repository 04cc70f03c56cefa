"""Paths of stems whatever templates and names hold: never outside the output folder."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import AudioError, UsageError
from soloist.files import json_text
from soloist.inference.inputs import track_name
from soloist.inference.outputs import check_template, stem_paths, windows_device

ODD = (
    *(
        "..",
        ".",
        "/",
        "//",
        "\\",
        "~",
        "~root",
        "C:",
        "\\\\host\\share",
        "/etc/",
        "\0",
        "\n",
        "\r",
        "\t",
        " ",
    ),
    *("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x7f", "CON", "nul", "COM1", "aux.wav", "...", "%", "$HOME"),
    *("a" * 251, "a" * 256, "é" * 127, "é" * 128, "🎸" * 63, "🎸" * 64, "\u202e", "\udcff", "{{", "}}"),
)
FIELDS = ("{model}", "{track}", "{stem}", "{ext}")
names = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=4)), max_size=5).map("".join)
templates = st.lists(st.one_of(st.sampled_from((*FIELDS, *ODD)), st.text(max_size=3)), max_size=7).map(
    "".join
)


@given(template=templates, model=names, track=names, stem=names)
def test_whatever_they_hold_stems_lie_in_the_folder_or_are_refused(tmp_path, template, model, track, stem):
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    (folder / "away").exists() or (folder / "away").symlink_to("/")
    template = f"{template}{{stem}}"
    try:
        check_template(template, one_file_per_stem=True)
        paths = stem_paths(folder, template, model=model, track=track, stems=[stem], extension="wav")
    except (UsageError, AudioError):
        return
    real = Path(os.path.realpath(folder))
    for path in paths.values():
        assert Path(os.path.realpath(path)).is_relative_to(real)
        assert Path(os.path.normpath(path)).is_relative_to(folder)
        assert all(len(os.fsencode(part)) <= 255 for part in path.relative_to(folder).parts)


@pytest.mark.parametrize("track", ["a" * 255, "é" * 127, "🎸" * 63])
def test_names_of_255_bytes_are_names(tmp_path, track):
    (path,) = stem_paths(
        tmp_path, "{track}/{stem}.{ext}", model="m", track=track, stems=["v"], extension="wav"
    ).values()
    path.parent.mkdir()
    path.touch()
    assert [found.name for found in tmp_path.iterdir()] == [track]


@pytest.mark.parametrize("track", ["a" * 256, "é" * 128, "🎸" * 64])
def test_longer_names_are_refused_before_anything_is_separated(tmp_path, track):
    with pytest.raises(AudioError, match=r"a name of 256 bytes is too long, 255 are possible: .*--template"):
        stem_paths(tmp_path, "{track}/{stem}.{ext}", model="m", track=track, stems=["v"], extension="wav")


DEVICES = [
    "CON",
    "con.wav",
    "a/Aux.tar.gz",
    "b\\NUL",
    "com1",
    "LPT9.x",
    "COM¹",
    "prn .wav",
    "CONOUT$",
    "x:y.wav",
]


@pytest.mark.parametrize("name", DEVICES)
def test_devices_of_windows_are_known(name):
    assert windows_device(name)


@pytest.mark.parametrize(
    "name", ["console.wav", "com10", "a/auxiliary.wav", "nullify", "lpt", "com", "con-1/x"]
)
def test_other_names_are_no_devices(name):
    assert windows_device(name) is None


@given(name=names)
def test_no_device_is_missed(name):
    """`pathlib` and `windows_device` agree on names of one part."""
    if not set(name) & set("/\\:"):
        known = PureWindowsPath(name).is_reserved() and name.rstrip(" .") != ""
        assert not known or windows_device(name)


@pytest.mark.parametrize("name", ["...wav", "..wav", "....wav", ".wav", ".stem.mp4", "a.wav", ". .wav"])
def test_a_recording_s_name_is_never_that_of_a_folder_above(name):
    assert track_name(Path(name)).strip(".")


@given(text=st.text(st.characters(max_codepoint=0x9F), max_size=20))
def test_json_has_no_control_characters(text):
    for shown in (json_text({"name": text}), json_text({"name": text}, ensure_ascii=False)):
        assert not [letter for letter in shown if ord(letter) < 0x20 or 0x7F <= ord(letter) <= 0x9F]
