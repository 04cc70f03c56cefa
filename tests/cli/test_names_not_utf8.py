"""Output folders whose names are not UTF-8: written, or refused by one line before any work."""

import os
import shutil
import sys

import pytest
import soundfile

from soloist.zoo import card_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")


@pytest.fixture
def odd(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    return folder


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "ogg", "opus", "m4a", "stem"])
def test_stems_of_every_format(soloist, song, odd, form):
    # A cover and tags are copied, which other libraries do.
    tagged = odd / "song.flac"
    audio, rate = soundfile.read(song)
    soundfile.write(os.fsencode(tagged), audio[: rate // 2], rate)
    options = ["-m", "hpss", "-o", odd / "out", "--format", form, "--template", "{track}-{stem}.{ext}"]
    if form == "stem":
        options[-1] = "{track}.{ext}"
    result = soloist("separate", tagged, *options)
    assert result.code == 0, result.err
    names = {path.name for path in (odd / "out").iterdir()} - {".soloist.json"}
    suffix = {"stem": "stem.mp4"}.get(form, form)
    stems = (
        {"song.stem.mp4"} if form == "stem" else {f"song-{s}.{suffix}" for s in ("harmonic", "percussive")}
    )
    assert names == stems
    assert "skipped" in soloist("separate", tagged, *options, "--skip-existing").err


@pytest.mark.slow
def test_pictures_results_reports_recipes_and_models(soloist, song, odd):
    (odd / "corpus/track").mkdir(parents=True)
    shutil.copy(song, odd / "corpus/track/vocals.wav")
    shutil.copytree(card_of("tiny-sudormrf-digits").folder, odd / "model")
    for command, written in [
        (["visualize", song, "--transform", "stft:256:64", "-o", odd / "song.png"], "song.png"),
        (["visualize", "hpss", song, "--duration", 0.2, "-o", odd / "seen"], "seen/picture.png"),
        (["evaluate", "oracle:mixture", odd / "corpus", "-o", odd / "res"], "res/report.html"),
        (["report", odd / "res", "-o", odd / "report"], "report/report.html"),
        (["score", odd / "corpus", odd / "corpus", "-o", odd / "scores"], "scores/tracks.csv"),
        (["init", odd / "mine", "--family", "tdf"], "mine.yaml"),
        (["separate", "-m", odd / "model", song, "-o", odd / "out"], "out/model/song/talker1.wav"),
    ]:
        result = soloist(*command)
        assert (result.code, (odd / written).is_file()) == (0, True), result.err


@pytest.mark.parametrize(
    "command", [["export", "tiny-sudormrf-digits", "--to", "onnx"], ["train", "tiny-tdf"]], ids=lambda c: c[0]
)
def test_what_other_libraries_could_not_open_is_refused(soloist, odd, command):
    result = soloist(*command, "-o", odd / "out")
    (line,) = result.err.splitlines()
    assert result.code == 2
    assert "is not UTF-8" in line
    assert list(odd.iterdir()) == []
