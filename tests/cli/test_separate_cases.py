"""`soloist separate` on films, streams, URLs and odd names: what it writes and says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

CASES = Path(__file__).parents[1] / "fixtures/cases"
TWO = CASES / "two-audio-tracks/two.mkv"


def separate(soloist, *arguments):
    return soloist("separate", "-m", "hpss", *arguments)


def harmonic(folder, track):
    return soundfile.read(folder / "hpss" / track / "harmonic.wav")[0]


def test_the_files_of_every_case_are_tried(shared):
    for path in (shared / "cases").glob("*/*"):
        if path.name != "README.md":
            assert (CASES / path.parent.name / path.name).read_bytes() == path.read_bytes()


def test_stems_of_a_film_stay_with_its_picture(soloist, tmp_path):
    result = separate(soloist, CASES / "audio-starts-late/late.mkv", "-o", tmp_path, "--residual")
    assert result.code == 0, result.err
    stems = [soundfile.read(path)[0] for path in (tmp_path / "hpss/late").glob("*.wav")]
    assert {len(stem) for stem in stems} == {round(1.8 * 22050)}
    mixture = sum(stems)
    assert not mixture[: round(0.8 * 22050)].any()
    assert np.abs(mixture[round(0.8 * 22050) :]).max() > 0.1


def test_the_taken_audio_track_is_said_and_another_can_be_taken(soloist, tmp_path):
    first = separate(soloist, TWO, "-o", tmp_path / "1")
    assert "audio track 1 of: 1, 2; --audio-track takes another" in first.err
    second = separate(soloist, TWO, "-o", tmp_path / "2", "--audio-track", 2, "--json")
    (line,) = (json.loads(line) for line in second.out.splitlines())
    assert (line["audio_tracks"], line["audio_track"], line["sample_rate"]) == (["1", "2"], 2, 22050)
    assert [len(harmonic(tmp_path / name, "two")) / 22050 for name in "12"] == pytest.approx(
        [1, 0.7], abs=0.1
    )
    plan = separate(soloist, TWO, "-o", tmp_path / "3", "--audio-track", 2, "--dry-run")
    assert "audio track 2 of: 1, 2" in plan.out
    assert "0.7 s with hpss" in plan.out


@pytest.mark.parametrize(
    ("track", "code", "message"),
    [
        ("3", 1, "two.mkv has no audio track 3; it has: 1, 2"),
        ("eng", 1, "two.mkv has no audio track 'eng'; it has: 1, 2"),
        ("0", 2, "--audio-track counts from 1, not 0"),
        ("-1", 2, "--audio-track counts from 1, not -1"),
        ("", 2, "--audio-track needs a number from 1"),
    ],
)
def test_an_audio_track_that_does_not_exist_is_refused(soloist, tmp_path, track, code, message):
    result = separate(soloist, TWO, "-o", tmp_path / "out", f"--audio-track={track}")
    assert (result.code, message in result.err) == (code, True), result.err
    assert not (tmp_path / "out").exists()


def test_a_recording_with_one_track_gets_no_line_about_it(soloist, song, tmp_path):
    assert "audio track" not in separate(soloist, song, "-o", tmp_path).err


def test_stems_have_the_header_that_strict_readers_want(soloist, tmp_path):
    assert separate(soloist, CASES / "float-wav-header/tone.wav", "-o", tmp_path).code == 0
    content = (tmp_path / "hpss/tone/harmonic.wav").read_bytes()
    description = content.index(b"fmt ")
    assert content[description + 4 : description + 8] == (18).to_bytes(4, "little")
    assert content[description + 24 : description + 26] == bytes(2)
    count = content.index(b"fact")
    assert content[count + 4 : count + 12] == (4).to_bytes(4, "little") + (4000).to_bytes(4, "little")


@pytest.mark.parametrize("option", ["--quiet", "--json", "--verbose"])
def test_only_soloists_lines_are_on_standard_error(soloist, tmp_path, option):
    result = separate(soloist, CASES / "mp3-noise-on-stderr/not-found.mp3", option, "-o", tmp_path)
    assert result.code == 1
    (line,) = result.err.splitlines()
    assert line.startswith("soloist: ")
    assert "not-found.mp3 is not audio, or damaged" in line


@pytest.mark.slow
def test_standard_input_is_called_by_its_sign(soloist_process, song, tmp_path):
    for content, ok in [(song.read_bytes(), True), (b"no sound at all", False)]:
        process = soloist_process("separate", "-", "-o", tmp_path, "-m", "hpss", "--json")
        out, err = process.communicate(content)
        line = json.loads(out)
        assert (line["input"], line["ok"]) == ("-", ok)
        assert b"stream-" not in out + err
    assert line["error"].startswith("- is not audio")
    process = soloist_process("separate", "-", "-o", tmp_path, "-m", "hpss")
    _, err = process.communicate(song.read_bytes())
    assert err.startswith(b"- -> ")


def test_a_url_is_answered_with_what_to_do_and_files_beside_it_are_separated(soloist, song, tmp_path):
    url = "https://www.example.org/watch?v=1"
    result = separate(soloist, url, "-o", tmp_path)
    assert result.code == 1
    assert f"soloist: {url} is a URL, and only files are read: download it first" in result.err
    result = separate(soloist, url, song, "-o", tmp_path)
    assert result.code == 1
    assert f"{url} is a URL" in result.err
    assert harmonic(tmp_path, "song").any()
    info = soloist("info", url)
    assert (info.code, f"{url} is a URL" in info.err) == (1, True)


@pytest.mark.parametrize("name", ["two  spaces", ":smile: [bold]x", " begins with one"])
def test_names_in_messages_are_as_they_are(soloist, song, tmp_path, name):
    file = tmp_path / f"{name}.wav"
    shutil.copy(song, file)
    assert f"{file} -> " in separate(soloist, file, "-o", tmp_path / "out").err
    file.write_bytes(b"nothing")
    assert f"soloist: {file} is not audio" in separate(soloist, file, song, "-o", tmp_path / "out").err


def test_the_gain_is_said_in_decibels(soloist, song, tmp_path):
    audio, rate = soundfile.read(song)
    loud = tmp_path / "loud.wav"
    soundfile.write(loud, 1e6 * audio, rate, subtype="FLOAT")
    result = separate(soloist, loud, "-o", tmp_path, "--format", "flac", "--json")
    gain = json.loads(result.out)["gain"]
    result = separate(soloist, loud, "-o", tmp_path, "--format", "flac")
    assert f"all stems lowered by {-20 * np.log10(gain):.1f} dB so that none clips" in result.err


def test_opus_stems_say_their_sample_rate(soloist, song, tmp_path):
    result = separate(soloist, song, "-o", tmp_path, "--format", "opus", "--json")
    assert json.loads(result.out)["sample_rate"] == 48000
    assert "Opus is always 48 kHz" in " ".join(soloist("separate", "--help").out.split())


def test_the_licence_is_the_same_in_tables_and_json(soloist, song, tmp_path):
    cards = json.loads(soloist("models", "--json").out)
    table = soloist("models").out.splitlines()
    column = table[0].index("licence")
    shown = {row.split()[0]: row[column : table[0].index("quality")].strip() for row in table[1:]}
    assert {card["name"]: card["licence"]["stated"] for card in cards} == shown
    plan = json.loads(separate(soloist, song, "-o", tmp_path, "--dry-run", "--json").out)
    assert plan["licence"] == shown["hpss"]
