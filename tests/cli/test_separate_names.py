"""Names and places in `soloist separate`: no input is lost, and no file stops the others."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

CASES = Path(__file__).parents[1] / "fixtures" / "cases"
MODEL = ("-m", "two-stage-hpss")
STEMS = {"vocals", "accompaniment"}
FLAT = ("-o", ".", "--filename", "{stem}.{ext}")


@pytest.fixture
def case(tmp_path, monkeypatch):
    """Working folder with copies of a case's files."""

    def enter(name):
        folder = tmp_path / "case"
        shutil.copytree(CASES / name, folder)
        monkeypatch.chdir(folder)
        return folder

    return enter


def stems_in(folder):
    return {path.stem for path in Path(folder).glob("*.wav")}


def lengths(folder):
    return {soundfile.info(path).frames for path in Path(folder).glob("*.wav")}


def separated(folder):
    """Names of the tracks' folders."""
    return {path.name for path in (Path(folder) / MODEL[1]).iterdir()}


def assert_refused(result, *named):
    assert result.code == 2, result.err
    assert len(result.err.strip().splitlines()) == 1
    for name in (*named, "--output", "--template"):
        assert name in result.err


def test_a_stem_does_not_replace_the_recording_of_its_name(soloist, case):
    folder = case("output-is-input")
    before = (folder / "vocals.wav").read_bytes()
    for options in ((), ("--dry-run",), ("--skip-existing",), ("--overwrite",)):
        assert_refused(soloist("separate", "vocals.wav", *MODEL, *FLAT, *options), "vocals.wav")
    assert [path.name for path in folder.iterdir()] == ["vocals.wav"]
    assert (folder / "vocals.wav").read_bytes() == before


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_stem_does_not_replace_the_recording_under_another_name(soloist, case, link):
    folder = case("output-is-input")
    before = (folder / "vocals.wav").read_bytes()
    (folder / "vocals.wav").rename(folder / "song.wav")
    link("song.wav", "vocals.wav")
    assert_refused(soloist("separate", "song.wav", *MODEL, *FLAT), "song.wav", "vocals.wav")
    assert_refused(soloist("separate", "vocals.wav", *MODEL, *FLAT), "vocals.wav")
    assert {path.name for path in folder.iterdir()} == {"song.wav", "vocals.wav"}
    assert (folder / "song.wav").read_bytes() == before


def test_a_stem_does_not_replace_another_input_of_the_call(soloist, case):
    folder = case("output-is-input")
    shutil.copy("vocals.wav", "a-mix.wav")
    assert_refused(soloist("separate", "a-mix.wav", "vocals.wav", *MODEL, *FLAT), "vocals.wav")
    assert {path.name for path in folder.iterdir()} == {"a-mix.wav", "vocals.wav"}


def test_a_multi_stream_file_does_not_replace_itself(soloist, case):
    folder = case("output-is-input")
    options = (*MODEL, "-f", "stem", "-o", ".", "--filename", "{track}.{ext}")
    assert soloist("separate", "vocals.wav", *options).code == 0
    before = (folder / "vocals.stem.mp4").read_bytes()
    assert_refused(soloist("separate", "vocals.stem.mp4", *options), "vocals.stem.mp4")
    assert (folder / "vocals.stem.mp4").read_bytes() == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="standard input has no path there")
def test_a_stem_does_not_replace_the_file_that_is_standard_input(soloist_process, case):
    folder = case("output-is-input")
    before = (folder / "vocals.wav").read_bytes()
    with open("vocals.wav", "rb") as file:
        process = soloist_process("separate", "-", *MODEL, *FLAT, stdin=file)
        _, errors = process.communicate()
    assert process.returncode == 2, errors
    assert (folder / "vocals.wav").read_bytes() == before


def test_two_inputs_do_not_share_stems(soloist, case):
    case("skip-existing-other-song")
    result = soloist("separate", "one-intro.wav", "two-intro.wav", *MODEL, "--filename", "{stem}.{ext}")
    assert_refused(result, "one-intro.wav", "two-intro.wav", "{track}")
    assert not Path("separated").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_a_name_that_is_not_utf8_is_a_name(soloist, case):
    case("name-not-utf8")
    odd = os.fsdecode(b"caf\xe9.wav")
    Path("songs").mkdir()
    shutil.copy("tone.wav", "songs/good.wav")
    shutil.copy("tone.wav", f"songs/{odd}")
    for options in ((), ("--flac",), ("--mp3",), ("-f", "m4a")):
        result = soloist("separate", "songs", "-o", "out", *MODEL, *options)
        assert result.code == 0, result.err
    assert r"caf\xe9.wav" in result.err
    assert separated("out") == {"good", "caf%E9"}
    assert stems_in("out/two-stage-hpss/caf%E9") == STEMS
    result = soloist("separate", "--json", "songs", "-o", "out", *MODEL, "--skip-existing")
    reports = [json.loads(line) for line in result.out.splitlines()]
    assert result.out.isascii()
    assert {report["input"] for report in reports} == {f"songs/{odd}", "songs/good.wav"}
    assert all(report["skipped"] for report in reports)
    result = soloist("info", f"songs/{odd}", "songs/good.wav")
    assert result.code == 0, result.err
    assert r"caf\xe9.wav: 0:00.500" in result.out


def test_a_coding_that_nobody_decodes_stops_no_other_file(soloist, case):
    case("unknown-codec")
    files = ("unknown.mkv", "half-float.wav", "good.wav")
    result = soloist("separate", *files, "-o", "out", *MODEL)
    assert result.code == 1
    for name in files[:2]:
        (line,) = (line for line in result.err.splitlines() if name in line)
        assert "not supported" in line
        assert "convert it" in line
    assert stems_in("out/two-stage-hpss/good") == STEMS
    result = soloist("info", *files)
    assert result.code == 1
    assert "good.wav: 0:00.500" in result.out
    assert all(name in result.err for name in files[:2])


@pytest.mark.parametrize(
    "error",
    [
        UnicodeEncodeError("utf-8", "\udce9", 0, 1, "surrogates not allowed"),
        AttributeError("'AudioStream' object has no attribute 'rate'"),
        RuntimeError("of a library"),
        OSError(5, "Input/output error", "bad.wav"),
        MemoryError(),
        ValueError("of a library"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("command", ["run", "plan", "info"])
def test_whatever_a_file_raises_is_its_line(soloist, case, monkeypatch, error, command):
    import soloist.audio.reader as reader

    case("odd-names")
    for name in ("bad.wav", "good.wav"):
        shutil.copy("tone.wav", name)
    opened = reader.open_decoder

    def open_decoder(remarks, stream=0):
        if remarks.path.name == "bad.wav":
            raise error
        return opened(remarks, stream)

    monkeypatch.setattr(reader, "open_decoder", open_decoder)
    if command == "info":
        result = soloist("info", "bad.wav", "good.wav")
    else:
        options = ("--dry-run",) if command == "plan" else ()
        result = soloist("separate", "bad.wav", "good.wav", "-o", "out", *MODEL, *options)
    assert result.code == 1
    assert len([line for line in result.err.splitlines() if "bad.wav" in line]) == 1
    assert "Traceback" not in result.err
    assert stems_in("out/two-stage-hpss/good") == (STEMS if command == "run" else set())
    assert command == "run" or "good.wav: 0" in result.out


@pytest.mark.parametrize("given", ["~tone.wav", "./~tone.wav"])
def test_a_file_whose_name_begins_with_a_tilde_is_a_file(soloist, case, given):
    case("odd-names")
    shutil.copy("tone.wav", "~tone.wav")
    shutil.copy("tone.wav", "good.wav")
    result = soloist("separate", given, "good.wav", "-o", "out", *MODEL)
    assert result.code == 0, result.err
    assert separated("out") == {"~tone", "good"}


def test_odd_inputs_stop_no_other_file(soloist, case):
    case("odd-names")
    Path("empty").mkdir()
    os.symlink("loop.wav", "loop.wav")
    odd = ("~nobody.wav", "loop.wav", "x" * 300 + ".wav", "empty", "nothing/*.wav", "missing.wav")
    result = soloist("separate", *odd, "tone.wav", "-o", "out", *MODEL, "--json")
    assert result.code == 1
    reports = [json.loads(line) for line in result.out.splitlines()]
    assert {report["input"] for report in reports if not report["ok"]} == set(odd)
    assert stems_in("out/two-stage-hpss/tone") == STEMS
    assert f"{len(odd)} of {len(odd) + 1} inputs failed" in result.err


@pytest.mark.slow
def test_a_terminal_that_cannot_show_a_name_shows_an_escape(request, case, monkeypatch):
    case("odd-names")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    soloist_process = request.getfixturevalue("soloist_process")
    name = "note\N{MUSICAL NOTE}.wav"
    shutil.copy("tone.wav", name)
    for command in (["info", name], ["separate", name, *MODEL, "--dry-run", "-o", "out"]):
        out, err = soloist_process(*command).communicate()
        assert rb"note\U0001f3b5.wav" in out, err


def test_another_song_of_the_same_name_gets_another_folder(soloist, case):
    case("skip-existing-other-song")
    songs = {"disc1": "one-intro.wav", "disc2": "two-intro.wav"}
    for disc, song in songs.items():
        Path(disc).mkdir()
        shutil.copy(song, f"{disc}/intro.wav")
    for options in (["--skip-existing"], [], ["--skip-existing"]):
        for disc in songs:
            result = soloist("separate", f"{disc}/intro.wav", "-o", "out", *MODEL, *options)
            assert result.code == 0, result.err
        assert "disc1/intro.wav" in result.err  # Named as the owner of the folder.
        assert lengths("out/two-stage-hpss/intro") == {4000}
        assert lengths("out/two-stage-hpss/intro (2)") == {6400}
    assert "skipped" in result.err
    assert separated("out") == {"intro", "intro (2)"}
    result = soloist("separate", "disc2/intro.wav", "-o", "out", *MODEL, "--overwrite")
    assert "disc1/intro.wav" in result.err
    assert lengths("out/two-stage-hpss/intro") == {6400}


def test_another_song_is_refused_where_names_of_tracks_are_not_in_the_template(soloist, case):
    case("skip-existing-other-song")
    options = (*MODEL, "-o", "out", "--filename", "{stem}.{ext}")
    assert soloist("separate", "one-intro.wav", *options).code == 0
    result = soloist("separate", "two-intro.wav", *options)
    assert result.code == 1
    assert "one-intro.wav" in result.err
    assert lengths("out") == {4000}


def test_a_recording_that_is_no_stem_is_not_replaced(soloist, case):
    folder = case("output-is-input")
    shutil.copy("vocals.wav", "mix.wav")
    before = (folder / "vocals.wav").read_bytes()
    assert soloist("separate", "mix.wav", *MODEL, *FLAT).code == 1
    assert (folder / "vocals.wav").read_bytes() == before


OTHER_WISHES = [
    ("--duration", 0.1),
    ("--start", 0.1),
    ("--sample-rate", 16000),
    ("--bit-depth", 16),
    ("--shifts", 2),
    ("--chunk", 0.4),
    ("--consistency", "mixture"),
]


@pytest.mark.parametrize("wish", OTHER_WISHES, ids=lambda wish: wish[0])
def test_stems_of_other_wishes_are_not_finished(soloist, case, wish):
    case("skip-existing-other-song")
    command = ("separate", "one-intro.wav", "-o", "out", *MODEL)
    assert soloist(*command, *wish).code == 0
    assert "skipped" in soloist(*command, *wish, "--skip-existing").err
    result = soloist(*command, "--skip-existing")
    assert result.code == 0
    assert "skipped" not in result.err
    assert "earlier stems are replaced" in result.err
    assert lengths("out/two-stage-hpss/one-intro") == {4000}
    assert "skipped" in soloist(*command, "--skip-existing").err
    assert separated("out") == {"one-intro"}


def test_a_stem_without_content_is_not_finished(soloist, case):
    case("skip-existing-other-song")
    command = ("separate", "one-intro.wav", "-o", "out", *MODEL, "--skip-existing")
    assert soloist(*command).code == 0
    Path("out/two-stage-hpss/one-intro/vocals.wav").write_bytes(b"")
    assert "skipped" not in soloist(*command).err
    assert lengths("out/two-stage-hpss/one-intro") == {4000}


def test_fewer_stems_are_finished_with_all_of_them(soloist, case):
    case("skip-existing-other-song")
    command = ("separate", "one-intro.wav", "-o", "out", *MODEL, "--skip-existing")
    assert soloist(*command).code == 0
    assert "skipped" in soloist(*command, "--stems", "vocals").err
    assert "skipped" not in soloist(*command, "--residual").err


def test_a_recording_that_changed_is_separated_again(soloist, case):
    case("skip-existing-other-song")
    command = ("separate", "one-intro.wav", "-o", "out", *MODEL, "--skip-existing")
    assert soloist(*command).code == 0
    audio, rate = soundfile.read("one-intro.wav", dtype="int16")
    audio = np.tile(audio, 20)
    soundfile.write("one-intro.wav", audio, rate)
    assert "the recording has changed" in soloist(*command).err
    assert lengths("out/two-stage-hpss/one-intro") == {len(audio)}
    # Same size, beginning and end.
    audio[len(audio) // 2] += 1
    soundfile.write("one-intro.wav", audio, rate)
    assert "the recording has changed" in soloist(*command).err


def test_a_copy_is_the_same_recording(soloist, case):
    case("skip-existing-other-song")
    command = ("-o", "out", *MODEL, "--skip-existing")
    assert soloist("separate", "one-intro.wav", *command).code == 0
    Path("copies").mkdir()
    shutil.copyfile("one-intro.wav", "copies/one-intro.wav")
    os.utime("copies/one-intro.wav", (1, 1))
    assert "skipped" in soloist("separate", "copies/one-intro.wav", *command).err


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"tracks": [{"stems": ["vocals.wav"]}]}', None])
def test_without_a_record_the_length_decides(soloist, case, damage):
    case("skip-existing-other-song")
    command = ("separate", "one-intro.wav", "-o", "out", *MODEL)
    assert soloist(*command).code == 0
    record = Path("out/two-stage-hpss/one-intro/.soloist.json")
    record.unlink() if damage is None else record.write_text(damage)
    assert "no record" in soloist(*command, "--skip-existing").err
    shutil.copy("two-intro.wav", "one-intro.wav")
    assert soloist(*command, "--skip-existing").code == 0
    assert lengths("out/two-stage-hpss/one-intro") == {4000}
    assert lengths("out/two-stage-hpss/one-intro (2)") == {6400}


def test_the_folder_of_the_recordings_takes_the_stems(soloist, case):
    case("output-here")
    for options in ((), (), ("--skip-existing",), ("--filename", "{track} {stem}.{ext}"), ()):
        result = soloist("separate", ".", "-o", ".", *MODEL, *options, "--json")
        assert result.code == 0, result.err
        assert [json.loads(line)["input"] for line in result.out.splitlines()] == ["song.wav"]
    assert separated(".") == {"song"}
    # Another output folder changes nothing, and a folder of stems alone is separated on request.
    result = soloist("separate", ".", "-o", "elsewhere", *MODEL, "--json")
    assert [json.loads(line)["input"] for line in result.out.splitlines()] == ["song.wav"]
    result = soloist("separate", "two-stage-hpss/song", "-o", "further", *MODEL)
    assert separated("further") == STEMS
    Path("song.wav").unlink()
    result = soloist("separate", ".", "-o", ".", *MODEL)
    assert result.code == 2
    assert "stems" in result.err
