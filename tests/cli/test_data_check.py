"""`soloist data check` as a user sees it."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from stem_corpora import noises, write_track

DIGITS = r"\d_(?P<speaker_name>[a-z]+)_(?P<take>\d+)\.wav"


@pytest.fixture
def corpus(tmp_path):
    """Folders of stems with a song each to train and to test."""
    for seed, name in enumerate(("train/A", "test/B")):
        stems = noises(seconds=0.3, channels=2, seed=seed)
        write_track(tmp_path / name, {**stems, "mixture": np.sum(list(stems.values()), axis=0)})
    return tmp_path


def test_what_a_corpus_holds(soloist, corpus):
    result = soloist("data", "check", corpus, "--layout", "stems")
    assert result.code == 0
    assert result.err == ""
    heading, train, test, last = result.out.splitlines()
    assert heading.split() == ["split", "tracks", "duration", "rate", "channels", "labels", "stems"]
    assert train.split()[:6] == ["train", "1", "0:00:00", "8000", "Hz", "2"]
    assert train.rstrip().endswith("bass, drums, other, vocals, mixture")
    assert test.split()[:2] == ["test", "1"]
    assert last == f"0 errors, 0 warnings in the corpus stems in {corpus}"


def test_errors_come_first_one_line_each_and_fail(soloist, corpus):
    silent, broken = corpus / "train/A/bass.wav", corpus / "test/B/drums.wav"
    soundfile.write(silent, np.zeros((2400, 2)), 8000)
    broken.write_bytes(broken.read_bytes()[:-100])
    shutil.copy(corpus / "train/A/vocals.wav", corpus / "test/B/vocals.wav")
    result = soloist("data", "check", corpus, "-l", "stems", "-j", 2)
    assert result.code == 1
    lines = [line for line in result.out.splitlines() if line.startswith(("error", "warning"))]
    assert [line.split()[:2] for line in lines] == [
        ["error:", "corrupt:"],
        ["error:", "leak:"],
        ["warning:", "silent:"],
        ["warning:", "residual:"],
    ]
    assert str(broken) in lines[0]
    assert str(corpus / "test/B/vocals.wav") in lines[1]
    assert str(silent) in lines[2]
    assert result.out.splitlines()[-1].startswith("2 errors, 2 warnings in ")


def test_warnings_do_not_fail(soloist, corpus):
    soundfile.write(corpus / "train/A/bass.wav", np.zeros((2400, 2)), 8000)
    assert soloist("data", "check", corpus, "-l", "stems", "--split", "train").code == 0
    assert "0 errors, 0 warnings" in soloist("data", "check", corpus, "-l", "stems", "-s", "test").out


def test_json(soloist, corpus):
    shutil.copytree(corpus / "train/A", corpus / "test/C")
    result = soloist("data", "check", corpus, "--layout", "stems", "--json")
    assert result.code == 1
    report = json.loads(result.out)
    assert (report["layout"], report["errors"], report["warnings"]) == ("stems", 1, 0)
    train, test = report["splits"]
    assert (train["name"], train["tracks"], test["tracks"]) == ("train", 1, 2)
    assert train["hours"] == pytest.approx(0.3 / 3600)
    assert train["sample_rates"] == {"8000": 5}
    assert train["stems"]["vocals"] == 1
    (finding,) = report["findings"]
    assert (finding["severity"], finding["kind"], finding["track"]) == ("error", "leak", "C")
    assert finding["file"] == str(corpus / "test/C/bass.wav")


def test_a_habit_of_a_corpus_does_not_bury_the_rest(soloist, tmp_path):
    for number in range(25):
        (tmp_path / f"anna{number}").mkdir()
        soundfile.write(tmp_path / f"anna{number}" / "a.wav", np.zeros(80), 8000)
    result = soloist("data", "check", tmp_path, "-l", "clips")
    assert result.code == 0
    assert result.out.count("warning: silent") == 20
    assert "silent: 5 more in the split all (--json shows all)" in result.out
    assert len(json.loads(soloist("data", "check", tmp_path, "-l", "clips", "--json").out)["findings"]) == 25


def test_a_layout_is_guessed_or_asked_for(soloist, corpus):
    result = soloist("data", "check", corpus)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-1] == f"0 errors, 0 warnings in the corpus stems in {corpus}"
    for split, name in (("train", "A"), ("test", "B")):
        shutil.move(corpus / split / name, corpus / split / f"Artist - {name}")
    assert "the corpus musdb18-hq in" in soloist("data", "check", corpus).out
    shutil.rmtree(corpus / "train")
    shutil.rmtree(corpus / "test")
    for name, seconds in (("yes", 0.2), ("no", 0.5)):
        for talker in ("anna", "ben"):
            write_track(corpus / talker, noises((name,), seconds=seconds))
    result = soloist("data", "check", corpus)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"soloist: {corpus} may be clips or stems: say which it is with --layout\n"


def test_arguments_of_the_layout(soloist, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("0_anna_0.wav", "1_anna_1.wav", "0_ben_0.wav", "notes.wav"):
        soundfile.write(tmp_path / name, rng.uniform(-0.1, 0.1, 80), 8000)
    options = ["-l", "clips", "--pattern", DIGITS, "--splits.train.speaker_name=anna|ben"]
    result = soloist("data", "check", *options, tmp_path)
    assert result.code == 0
    assert result.out.splitlines()[1].split()[:2] == ["train", "3"]
    result = soloist("data", "check", tmp_path, *options, "--splits.test.speaker_name", "ben")
    assert result.code == 1
    assert result.out.startswith(f"error: leak: {tmp_path}/0_ben_0.wav belongs to '0_ben_0'")
    result = soloist("data", "check", tmp_path, "-l", "clips", "--patern", "x")
    assert result.code == 2
    assert "unknown key 'patern'; did you mean 'pattern'?" in result.err


def test_synthetic_corpora_have_no_folder(soloist, tmp_path):
    few = ("--talkers", 3, "--utterances", 1, "--seconds", 0.2)
    result = soloist("data", "check", "-l", "synthetic-talkers", *few)
    assert result.code == 0
    assert result.out.splitlines()[1].split()[:7] == ["train", "3", "0:00:01", "8000", "Hz", "1", "3"]
    result = soloist("data", "check", tmp_path, "-l", "synthetic-band")
    assert (result.code, result.err) == (
        2,
        f"soloist: the corpus synthetic-band lies in no folder: leave out {tmp_path}\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the folder of a corpus, or name a synthetic one"),
        (["-l", "mir-1k"], "give the folder of the corpus mir-1k"),
        (["a", "b"], "one corpus at a time, not a and b"),
        (["absent"], "there is no folder absent"),
        (["absent", "-l", "musdb18"], "there is no folder absent: give the folder of the musdb18 corpus"),
        (["absent", "-l", "musdb"], "there is no layout 'musdb'; there are clips"),
    ],
)
def test_wrong_usage_is_one_line(soloist, arguments, message):
    result = soloist("data", "check", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"soloist: {message}")
    assert result.err.count("\n") == 1


def test_a_split_that_is_not_there(soloist, corpus):
    result = soloist("data", "check", corpus, "-l", "stems", "--split", "valid")
    assert (result.code, result.err) == (2, "soloist: stems has no split 'valid'; it has train, test\n")


def test_spoken_digits(soloist, shared):
    options = ["--pattern", r"(?P<digit>[0-4])_(?P<speaker_name>[a-z]+)_(?P<take>\d+)\.wav"]
    result = soloist("data", "check", shared / "data/fsdd/recordings", "-l", "clips", *options)
    assert result.code == 0
    assert result.out.splitlines()[-2].split()[:7] == ["all", "1,500", "0:10:31", "8000", "Hz", "1", "6"]


def test_the_clip_of_musdb18(soloist, shared):
    result = soloist("data", "check", shared / "data/musdb-sample")
    assert result.code == 0
    assert "differs from the sum of the stems by -31.6 dB" in result.out


def test_a_song(soloist, shared, tmp_path):
    (tmp_path / "hydrogen").symlink_to(shared / "data/songs/hydrogen")
    result = soloist("data", "check", tmp_path / "hydrogen")
    assert result.code == 0
    assert "bass.ogg is silent" in result.out
    assert "0 errors, 1 warning in" in result.out
